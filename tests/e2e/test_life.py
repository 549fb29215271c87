"""A ticket's whole life, from the inbound topic to the agent's screen and back, over Kafka and HTTP alone."""

import base64
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook as StandardWebhook

from libs.shared.contracts.classification import TicketClassified
from libs.shared.contracts.dispatch import TicketAnswered, TicketClosed
from libs.shared.contracts.intake import TicketReceived
from libs.shared.contracts.notification import NotificationSent
from libs.shared.contracts.sla_timer import ClocksStarted, ClocksStopped
from tests.e2e import traffic
from tests.e2e.department import Departments, Webhook
from tests.e2e.screen import Screen, followed
from tests.e2e.zhida import SUPERVISOR, Who, Zhida, agent, department, publish

BUREAU, REPAIR = "district_bureau", "repair_centre"  # both execute 小区变压器容量不足, which planning leads
AGENT = "A2001"


@pytest.fixture(scope="module")
async def screen(zhida: Zhida) -> AsyncIterator[Screen]:
    async with followed(zhida, AGENT) as screens:
        yield screens[AGENT]


async def test_ticket_goes_straight_to_two_departments_and_the_answers_straight_to_the_agent(
    zhida: Zhida, departments: Departments, screen: Screen
) -> None:
    await departments.open(BUREAU, REPAIR)
    title, text = traffic.MATTERS[0]
    customer = {"name": "王先生", "phone": "13800001234", "star": 4}
    offered = traffic.ticket(title, f"{text}请回电13800001234。", agent_id=AGENT, customer=customer)
    await publish(zhida.stack.backend.kafka_bootstrap_servers, offered)

    ticket_id = await ticket_of(zhida, offered)
    [classified] = await zhida.flow.until(TicketClassified, ticket_id)
    assert [each.code for each in classified.executing_departments] == [BUREAU, REPAIR]
    assert classified.join_policy == "all"
    hooks = {code: await departments.until(code, "work_order.assigned", ticket_id) for code in (BUREAU, REPAIR)}
    for code, hook in hooks.items():
        verify(zhida, hook)
        assert hook.data["department"] == code
        assert "13800001234" not in hook.body.decode()
    orders = {code: hook.data["work_order_id"] for code, hook in hooks.items()}
    await staged(zhida, ticket_id, "delivered")

    for code in orders:
        await move(zhida, code, orders[code], "accept", {})
    await staged(zhida, ticket_id, "accepted")
    await move(zhida, BUREAU, orders[BUREAU], "contacted", {"note": "已与客户通话"})
    measured = (await staged(zhida, ticket_id, "contacted"))["measures"]
    assert measured["first_contact_minutes"] >= 0

    # The agent asks one department, and is asked by it.
    asked = await zhida.insist(
        agent(AGENT), "POST", f"dispatch/v1/tickets/{ticket_id}/questions", {"text": "何时到现场？", "department": BUREAU}
    )
    question = (await departments.until(BUREAU, "question.asked", ticket_id)).data
    assert question["question_id"] == asked["questions"][0]["question_id"]
    answer = f"dispatch/v1/questions/{question['question_id']}/answer"
    await zhida.insist(department(BUREAU), "POST", answer, {"text": "今天下午三点。"})
    assert "今天下午三点" in (await screen.until(ticket_id, "question_answered")).data["text"]
    await move(zhida, BUREAU, orders[BUREAU], "questions", {"text": "客户是几栋？"})
    shown = await screen.until(ticket_id, "question_asked")
    assert "客户是几栋" in shown.data["text"]
    answer = f"dispatch/v1/questions/{shown.data['data']['question_id']}/answer"
    await zhida.insist(agent(AGENT), "POST", answer, {"text": "三栋。"})
    reply = await departments.until(BUREAU, "question.answered", ticket_id)
    assert reply.data["text"] == "三栋。"
    verify(zhida, reply)

    amendment = {"text": "客户补充：电梯也停了。"}
    await zhida.insist(agent(AGENT), "POST", f"intake/v1/tickets/{ticket_id}/amendments", amendment)
    for code in orders:
        assert (await departments.until(code, "ticket.amended", ticket_id)).data["text"] == amendment["text"]

    # Join policy all: the first answer alone does not reach the agent.
    evidence = {"kind": "photo", "uri": "https://evidence.example/1.jpg", "note": "变压器铭牌"}
    await move(zhida, BUREAU, orders[BUREAU], "evidence", evidence)
    await move(zhida, BUREAU, orders[BUREAU], "answer", {"text": "已列入增容计划。"})
    seen = await zhida.insist(agent(AGENT), "GET", f"dispatch/v1/tickets/{ticket_id}")
    assert seen["state"] == "open"
    assert not list(zhida.flow.all(TicketAnswered, ticket_id))
    await move(zhida, REPAIR, orders[REPAIR], "contacted", {})
    await move(zhida, REPAIR, orders[REPAIR], "answer", {"text": "已临时调整负荷。"})
    shown = await screen.until(ticket_id, "ticket_answered")
    assert {each["text"] for each in shown.data["data"]["answers"]} == {"已列入增容计划。", "已临时调整负荷。"}
    told = await staged(zhida, ticket_id, "told")
    # Two hops of the flow itself, and four of the questions and replies between agent and department.
    assert told["measures"]["hops"] == 6
    assert told["measures"]["transfers"] == 0
    assert told["measures"]["told_minutes"] < 1
    assert [each["state"] for each in told["departments"]] == ["answered", "answered"]
    assert await outcomes(zhida, ticket_id) == ["met"] * 5  # accept and first contact of each department, resolve

    await zhida.insist(agent(AGENT), "POST", f"dispatch/v1/tickets/{ticket_id}/close", {"satisfied": False})
    await staged(zhida, ticket_id, "closed")
    again = {"reason": "客户反映仍然跳闸"}
    await zhida.insist(agent(AGENT), "POST", f"dispatch/v1/tickets/{ticket_id}/reopen", again)
    await staged(zhida, ticket_id, "reopened")
    for code, order in orders.items():
        hook = await departments.until(code, "work_order.reopened", ticket_id)
        assert hook.data["reason"] == again["reason"]
        verify(zhida, hook)
        await move(zhida, code, order, "accept", {})
        await move(zhida, code, order, "contacted", {})
        await move(zhida, code, order, "answer", {"text": f"{code}：已更换变压器。"})
    await screen.until(ticket_id, "ticket_answered", count=2)
    await zhida.insist(agent(AGENT), "POST", f"dispatch/v1/tickets/{ticket_id}/close", {"satisfied": True})
    ended = await staged(zhida, ticket_id, "closed")
    assert ended["stage"] == "closed"
    assert ended["measures"]["hops"] == 8
    assert {"received", "classified", "assigned", "delivered", "accepted", "contacted", "answered"} <= set(
        ended["reached"]
    )
    await zhida.flow.until(TicketClosed, ticket_id, count=2)
    await nothing_runs(zhida, ticket_id)
    await story_is_whole(zhida, ticket_id)
    assert not screen.breaks


async def ticket_of(zhida: Zhida, offered: dict[str, Any]) -> str:
    """The id that intake gave a ticket."""
    query = {"channel": offered["channel"], "external_ref": offered["external_ref"]}

    async def found() -> str | None:
        answer = await zhida.ask(SUPERVISOR, "GET", "intake/v1/tickets", params=query)
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        return str(items[0]["ticket_id"]) if items else None

    return str(await zhida.until(found, f"intake has {query}"))


async def staged(zhida: Zhida, ticket_id: str, stage: str) -> dict[str, Any]:
    """What intake shows of a ticket, once it has reached that stage."""

    async def there() -> dict[str, Any] | None:
        shown = await zhida.insist(SUPERVISOR, "GET", f"intake/v1/tickets/{ticket_id}")
        return shown if stage in shown["reached"] else None

    found: dict[str, Any] = await zhida.until(there, f"ticket {ticket_id} is {stage}")
    return found


async def move(zhida: Zhida, code: str, order: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """A department's command on its work order."""
    return await zhida.insist(department(code), "POST", f"dispatch/v1/work-orders/{order}/{name}", body)


def verify(zhida: Zhida, hook: Webhook) -> None:
    """The signatures are good by an independent library (v1), and by the definition of the standard (v1a)."""
    secrets = zhida.secrets[hook.department]
    StandardWebhook(secrets.shared).verify(hook.body.decode(), hook.headers)
    signed = f"{hook.id}.{hook.headers['webhook-timestamp']}.".encode() + hook.body
    signatures = dict(each.split(",", 1) for each in hook.headers["webhook-signature"].split(" "))
    public = base64.b64decode(secrets.public.removeprefix("whpk_"))
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signatures["v1a"]), signed)


async def outcomes(zhida: Zhida, ticket_id: str) -> list[str]:
    """How the ticket's clocks ended, once none is running."""
    view: dict[str, Any] = {}

    async def stopped() -> bool:
        view.update(await zhida.insist(SUPERVISOR, "GET", f"sla_timer/v1/tickets/{ticket_id}/clocks"))
        return all(each["state"] != "running" for each in view["clocks"])

    await zhida.until(stopped, f"all clocks of {ticket_id} have stopped")
    return [each["state"] for each in view["clocks"]]


async def nothing_runs(zhida: Zhida, ticket_id: str) -> None:
    """Every clock that was started was stopped, once, and all in time."""
    assert set(await outcomes(zhida, ticket_id)) == {"met"}
    started = {each.clock_id for event in zhida.flow.all(ClocksStarted, ticket_id) for each in event.clocks}

    async def told() -> bool:
        await zhida.flow.read()
        stopped = [each.clock_id for event in zhida.flow.all(ClocksStopped, ticket_id) for each in event.clocks]
        return sorted(stopped) == sorted(started)

    await zhida.until(told, f"clocks of {ticket_id} are told to have stopped")


async def story_is_whole(zhida: Zhida, ticket_id: str) -> None:
    """Versions of each service are gapless and in order, and everything belongs to one trace."""
    await zhida.flow.read()
    story = zhida.flow.of(ticket_id)
    versions = defaultdict(list)
    for said in story:
        versions[said.event.envelope.source].append(said.event.envelope.version)
    assert set(versions) == {"intake", "classification", "dispatch", "sla_timer", "notification"}
    for source, found in versions.items():
        assert found == list(range(1, len(found) + 1)), source
    [received] = zhida.flow.all(TicketReceived, ticket_id)
    assert {said.trace for said in story} == {received.envelope.traceparent.split("-")[1]}
    assert list(zhida.flow.all(NotificationSent, ticket_id))
