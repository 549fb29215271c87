"""Which column of a spreadsheet is which field of a ticket, and how a row becomes one.

Nothing is judged here: what a row cannot say well is left as it stands, and intake names what is wrong with it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.intake.domain.submission import FIELDS

TARGETS = FIELDS - {"place", "customer"}

# Header names, lower case without spaces and underscores, by the field they mean; several columns may feed one field,
# and the first that is not empty counts.
NAMES: dict[str, tuple[str, ...]] = {
    "channel": ("channel", "渠道", "来源", "受理渠道", "工单来源", "来电渠道"),
    "external_ref": (
        "externalref", "messageid", "ticketid", "ticketno", "id", "no", "number", "工单号", "工单编号", "编号",
        "留言编号", "受理编号", "流水号", "单号",
    ),
    "agent_id": ("agentid", "agent", "坐席", "座席", "坐席工号", "座席工号", "受理人", "话务员", "工号"),
    "title": ("title", "subject", "标题", "主题", "留言主题", "工单标题", "诉求标题"),
    "text": (
        "text", "body", "content", "description", "内容", "正文", "留言详情", "诉求内容", "受理内容", "工单内容",
        "投诉内容", "描述", "详情",
    ),
    "business_type": ("businesstype", "业务类型", "诉求类型", "工单类型", "类型"),
    "complaint_object": ("complaintobject", "投诉对象"),
    "place.area_code": ("areacode", "place.areacode", "行政区划", "行政区划代码", "区划代码", "区域编码"),
    "place.address": ("address", "place.address", "地址", "用电地址", "事发地址", "诉求地址", "装机地址"),
    "customer.customer_id": (
        "customerid", "customer.customerid", "userid", "客户编号", "用户编号", "留言用户", "户号", "用电户号",
    ),
    "customer.name": ("name", "customername", "customer.name", "姓名", "客户姓名", "客户名称", "联系人"),
    "customer.phone": (
        "phone", "mobile", "customer.phone", "电话", "联系电话", "手机", "手机号", "来电号码", "主叫号码",
    ),
    "customer.star": ("star", "customer.star", "星级", "客户星级"),
    "customer.sensitive": ("sensitive", "customer.sensitive", "敏感客户", "特殊群体"),
    "opened_at": (
        "openedat", "createdat", "createtime", "time", "date", "时间", "留言时间", "受理时间", "来电时间", "创建时间",
        "诉求时间",
    ),
}  # fmt: skip
# What people write, by field, in the words of the domain.
VALUES: dict[str, dict[str, Any]] = {
    "business_type": {
        "咨询": "inquiry", "咨询查询": "inquiry", "意见": "opinion", "建议": "suggestion", "投诉": "complaint",
        "举报": "report", "表扬": "praise", "业务办理": "service_request", "故障报修": "fault", "报修": "fault",
    },
    "complaint_object": {"对内": "internal", "对外": "external"},
    "channel": {"网站": "website", "阳光热线": "sunshine_hotline", "现场": "walk_in"},
    "customer.sensitive": {
        "是": True, "否": False, "true": True, "false": False, "1": True, "0": False, "yes": True, "no": False,
    },
}  # fmt: skip
TITLE_LENGTH = 40  # characters of the text that stand for a missing title

_DATE = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[T ]*(\d{1,2})[:：时](\d{1,2})(?:[:：分](\d{1,2})(?:\.\d+)?秒?|分)?)?"
)


@dataclass(frozen=True)
class Columns:
    """How the rows of one file become tickets."""

    pairs: tuple[tuple[str, str], ...]  # column, field; in the order of preference
    timezone: ZoneInfo  # of times without an offset
    constants: Mapping[str, Any] = field(default_factory=dict)  # field → value where the row has none
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # field → what is written → what is meant

    def column_of(self, name: str) -> str | None:
        """The column a field comes from."""
        return next((column for column, target in self.pairs if target == name), None)

    def ticket(self, row: Mapping[str, str]) -> dict[str, Any]:
        """A row as a ticket to hand in. Without a number of its own it gets one made of its content."""
        found: dict[str, Any] = {}
        for column, target in self.pairs:
            written = (row.get(column) or "").strip()
            if written and target not in found:
                found[target] = self._meant(target, written)
        found = {**self.constants, **found}
        if "title" not in found and isinstance(found.get("text"), str):
            found["title"] = _first_sentence(found["text"])
        elif isinstance(found.get("title"), str):
            found["title"] = " ".join(found["title"].split())
        if "external_ref" not in found:
            found["external_ref"] = f"row-{fingerprint(row)}"
        return _nested(found)

    def _meant(self, target: str, written: str) -> Any:
        given = self.values.get(target, {})
        if written in given:
            return given[written]
        if written.lower() in VALUES.get(target, {}):
            return VALUES[target][written.lower()]
        if target == "customer.star" and (star := re.fullmatch(r"(\d{1,3})(?:\.0)?\s*[星级]*", written)):
            return int(star[1])
        if target == "opened_at":
            return _instant(written, self.timezone)
        return written


def detect(header: Iterable[str]) -> list[tuple[str, str]]:
    """The columns whose names say which field they are."""
    meaning = {name: target for target, names in NAMES.items() for name in names}
    pairs = []
    for column in header:
        plain = re.sub(r"[\s_\ufeff]", "", column).lower()
        if plain in meaning:
            pairs.append((column, meaning[plain]))
    return pairs


def combine(header: Sequence[str], given: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What a person says about columns, and for all other fields what their names say.

    Args: `given`: column → field, or "" for a column to leave out.
    Raises: ValueError naming the column or field that does not exist.
    """
    for column, target in given:
        if column not in header:
            raise ValueError(f"there is no column {column!r}; there are {', '.join(header)}")
        if target and target not in TARGETS:
            raise ValueError(f"there is no field {target!r}; there are {', '.join(sorted(TARGETS))}")
    decided = {column for column, _ in given}
    fields = {target for _, target in given}
    rest = [(column, target) for column, target in detect(header) if column not in decided and target not in fields]
    return (*((column, target) for column, target in given if target), *rest)


def fingerprint(row: Mapping[str, str]) -> str:
    """24 hex digits that are the same for a row of the same content."""
    content = "\x1f".join(f"{column}\x1e{row[column] or ''}" for column in sorted(row))
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _first_sentence(text: str) -> str:
    line = " ".join(re.split(r"[。！？!?\n]", text.strip(), maxsplit=1)[0].split())
    return line[:TITLE_LENGTH] or text.strip()[:TITLE_LENGTH]


def _instant(written: str, timezone: ZoneInfo) -> str:
    """The usual ways to write a time, as ISO 8601; what is written otherwise stays."""
    try:
        instant = datetime.fromisoformat(written)
    except ValueError:
        parts = _DATE.fullmatch(written)
        if not parts:
            return written
        try:
            instant = datetime(*(int(part or 0) for part in parts.groups()), tzinfo=timezone)  # type: ignore[arg-type,misc]
        except ValueError:
            return written
    return (instant if instant.tzinfo else instant.replace(tzinfo=timezone)).isoformat()


def _nested(found: Mapping[str, Any]) -> dict[str, Any]:
    ticket: dict[str, Any] = {}
    for name, value in found.items():
        part, _, inner = name.rpartition(".")
        (ticket.setdefault(part, {}) if part else ticket)[inner] = value
    return ticket
