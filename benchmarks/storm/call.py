"""A storm of calls about a few outages among calls about everything else, drawn from a seed; all texts are our own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

OUTAGES = (
    ("320102001003", "梧桐里小区", "变压器一声巨响"),
    ("320102004001", "清河湾花园", "架空线被大树压断"),
    ("320583007002", "东塘村", "开闭所进水跳闸"),
)
OPENINGS = ("您好，", "你好，", "麻烦问一下，", "", "", "喂，", "客户来电反映，", "客户称")
OUT = (
    "{place}全停电了",
    "{place}突然没电了",
    "{place}整个断电了",
    "{place}家家户户都没有电",
    "我们{place}从{when}开始停电",
    "{place}{number}号楼停电",
)
THEN = (
    "{cause}之后就停了",
    "听见{cause}",
    "什么时候来电",
    "请尽快派人抢修",
    "已经停了{hours}个小时",
    "电梯也停了，老人下不来",
    "冰箱里的东西都要坏了",
    "打了好几次电话没人接",
    "物业说是{cause}",
    "几点能恢复供电",
    "孩子还要写作业",
    "请问抢修队到了没有",
)
WHEN = ("刚才", "下午", "半小时前", "吃饭的时候", "一点多", "中午")
MATTERS = (
    "上个月电费比平时多了{hours}百元，怀疑电表走得快，要求校验",
    "想咨询{number}千瓦充电桩怎么报装，需要带什么材料",
    "营业厅窗口排队{hours}个小时还没有办上业务，要求改进服务",
    "路口的电线杆倾斜，担心倒下来砸到行人，请来加固",
    "房子过户以后想把电表改到自己名下，问办理流程",
    "夏天空调一开电压就低，{number}瓦的灯发暗，反映过没有改造",
    "手机上交了{number}元电费没有到账，请查一下",
    "家里老人一直用制氧机，想登记保电",
    "变电站离学校太近，家长们担心辐射，要求公示环评",
    "店铺想增容到{number}千瓦，申请交上去{hours}周没有答复",
    "表扬抢修师傅冒雨到家里换了空开，服务态度很好",
    "树枝碰到电线打火花，请来修剪",
    "抄表员没有上门就估了{number}度，要求重新抄表",
    "阶梯电价第二档从多少度开始算，请解释",
    "农田灌溉的机井想接电，问多少钱一米",
    "电表箱的门坏了敞着，小孩会摸到，请更换",
    "增值税发票开错了抬头，要求重开{number}月份的",
    "欠费停电以后交清了{hours}天还没有复电",
    "施工队挖沟把人行道挖坏了没有恢复",
    "建议把停电通知提前发到业主群里，不要只贴一张纸",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call."""

    ticket_id: UUID
    outage: int | None  # index of OUTAGES; None: about something else
    text: str
    area_code: str

    @property
    def fields(self) -> dict[str, Any]:
        """What a ticket has of it."""
        return {
            "text": self.text,
            "place": {"area_code": self.area_code},
            "customer": {"customer_id": f"c{self.ticket_id.int % 10**12}"},
        }


def calls(seed: int, storm: int, others: int, end: datetime, minutes: int = 50) -> list[Call]:
    """So many calls about the outages, and about other things, in the minutes before `end`, in order."""
    random = Random(seed)
    about = [*(random.randrange(len(OUTAGES)) for _ in range(storm)), *[None] * others]
    random.shuffle(about)
    return list(_calls(random, about, end - timedelta(minutes=minutes), minutes * 60_000 / len(about)))


def _calls(random: Random, about: list[int | None], begin: datetime, apart: float) -> Iterator[Call]:
    for number, outage in enumerate(about):
        at = int(begin.timestamp() * 1000 + number * apart)
        ticket_id = UUID(int=at << 80 | 0x7 << 76 | random.getrandbits(12) << 64 | 0x2 << 62 | random.getrandbits(62))
        details = {"when": random.choice(WHEN), "number": random.randint(1, 900), "hours": random.randint(1, 9)}
        if outage is None:
            near = random.random() < 0.06
            area = random.choice(OUTAGES)[0] if near else f"3205{random.randrange(10**8):08}"
            yield Call(ticket_id, None, random.choice(OPENINGS) + random.choice(MATTERS).format(**details), area)
        else:
            area, place, cause = OUTAGES[outage]
            said = [random.choice(OUT), *random.sample(THEN, random.randint(1, 3))]
            text = "，".join(said).format(place=place, cause=cause, **details)
            yield Call(ticket_id, outage, random.choice(OPENINGS) + text, area)
