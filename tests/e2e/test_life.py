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
from tests.e2e.hand import move, published, solve, staged
from tests.e2e.screen import Screen, followed
from tests.e2e.zhida import SUPERVISOR, Zhida, agent, department

BUREAU, REPAIR = "district_bureau", "repair_centre"  # both execute 小区变压器容量不足, which planning leads
NAME = "A2001"
AGENT = agent(NAME)


@pytest.fixture(scope="module")
async def screen(zhida: Zhida) -> AsyncIterator[Screen]:
    async with followed(zhida, NAME) as screens:
        yield screens[NAME]


async def test_ticket_goes_straight_to_two_departments_and_the_answers_straight_to_the_agent(
    zhida: Zhida, departments: Departments, screen: Screen
) -> None:
    await departments.open(BUREAU, REPAIR)
    title, text = traffic.MATTERS[0]
    customer = {"name": "王先生", "phone": "13800001234", "star": 4}
    text = f"{text}请回电13800001234。"
    ticket_id = await published(zhida, title, text, agent_id=NAME, customer=customer)
    orders = await delivered(zhida, departments, ticket_id)
    for code, order in orders.items():
        await move(zhida, code, order, "accept")
    await staged(zhida, ticket_id, "accepted")
    await move(zhida, BUREAU, orders[BUREAU], "contacted", note="已与客户通话")
    assert (await staged(zhida, ticket_id, "contacted"))["measures"]["first_contact_minutes"] >= 0
    await asked_both_ways(zhida, departments, screen, ticket_id, orders[BUREAU])
    amendment = {"text": "客户补充：电梯也停了。"}
    await zhida.insist(AGENT, "POST", f"intake/v1/tickets/{ticket_id}/amendments", amendment)
    for code in orders:
        assert (await departments.until(code, "ticket.amended", ticket_id)).data["text"] == amendment["text"]
    await answered(zhida, screen, ticket_id, orders)
    await done_again(zhida, departments, screen, ticket_id, orders)
    await nothing_runs(zhida, ticket_id)
    await story_is_whole(zhida, ticket_id)
    assert not screen.breaks


async def delivered(zhida: Zhida, departments: Departments, ticket_id: str) -> dict[str, str]:
    """Both departments have their work orders: by department."""
    [classified] = await zhida.flow.until(TicketClassified, ticket_id)
    assert [each.code for each in classified.executing_departments] == [BUREAU, REPAIR]
    assert classified.join_policy == "all"
    orders = {}
    for code in (BUREAU, REPAIR):
        hook = await departments.until(code, "work_order.assigned", ticket_id)
        verify(zhida, hook)
        assert hook.data["department"] == code
        assert "13800001234" not in hook.body.decode()
        orders[code] = hook.data["work_order_id"]
    await staged(zhida, ticket_id, "delivered")
    return orders


async def asked_both_ways(zhida: Zhida, departments: Departments, screen: Screen, ticket_id: str, order: str) -> None:
    """The agent asks one department, and is asked by it; both have their reply."""
    body = {"text": "何时到现场？", "department": BUREAU}
    asked = await zhida.insist(AGENT, "POST", f"dispatch/v1/tickets/{ticket_id}/questions", body)
    question = (await departments.until(BUREAU, "question.asked", ticket_id)).data
    assert question["question_id"] == asked["questions"][0]["question_id"]
    place = f"dispatch/v1/questions/{question['question_id']}/answer"
    await zhida.insist(department(BUREAU), "POST", place, {"text": "今天下午三点。"})
    assert "今天下午三点" in (await screen.until(ticket_id, "question_answered")).data["text"]

    await move(zhida, BUREAU, order, "questions", text="客户是几栋？")
    shown = await screen.until(ticket_id, "question_asked")
    assert "客户是几栋" in shown.data["text"]
    place = f"dispatch/v1/questions/{shown.data['data']['question_id']}/answer"
    await zhida.insist(AGENT, "POST", place, {"text": "三栋。"})
    reply = await departments.until(BUREAU, "question.answered", ticket_id)
    assert reply.data["text"] == "三栋。"
    verify(zhida, reply)


async def answered(zhida: Zhida, screen: Screen, ticket_id: str, orders: dict[str, str]) -> None:
    """Join policy all: the first answer alone does not reach the agent, both together do."""
    photo = "https://evidence.example/1.jpg"
    await move(zhida, BUREAU, orders[BUREAU], "evidence", kind="photo", uri=photo, note="变压器铭牌")
    await move(zhida, BUREAU, orders[BUREAU], "answer", text="已列入增容计划。")
    seen = await zhida.insist(AGENT, "GET", f"dispatch/v1/tickets/{ticket_id}")
    assert (seen["state"], seen["evidence"][0]["uri"]) == ("open", photo)
    await zhida.flow.read()
    assert not zhida.flow.all(TicketAnswered, ticket_id)
    await move(zhida, REPAIR, orders[REPAIR], "contacted")
    await move(zhida, REPAIR, orders[REPAIR], "answer", text="已临时调整负荷。")
    shown = await screen.until(ticket_id, "ticket_answered")
    assert {each["text"] for each in shown.data["data"]["answers"]} == {"已列入增容计划。", "已临时调整负荷。"}
    told = await staged(zhida, ticket_id, "told")
    assert told["stage"] == "told"
    # Two hops of the flow itself, and four of the questions and replies between agent and department.
    assert (told["measures"]["hops"], told["measures"]["transfers"]) == (6, 0)
    assert told["measures"]["told_minutes"] < 1
    assert [each["state"] for each in told["departments"]] == ["answered", "answered"]
    assert await outcomes(zhida, ticket_id) == ["met"] * 5  # accept and first contact of each department, resolve


async def done_again(
    zhida: Zhida, departments: Departments, screen: Screen, ticket_id: str, orders: dict[str, str]
) -> None:
    """Closed unsatisfied, reopened, answered again, closed satisfied."""
    await zhida.insist(AGENT, "POST", f"dispatch/v1/tickets/{ticket_id}/close", {"satisfied": False})
    await staged(zhida, ticket_id, "closed")
    again = {"reason": "客户反映仍然跳闸"}
    await zhida.insist(AGENT, "POST", f"dispatch/v1/tickets/{ticket_id}/reopen", again)
    assert "closed" not in (await staged(zhida, ticket_id, "reopened"))["reached"]
    for code, order in orders.items():
        hook = await departments.until(code, "work_order.reopened", ticket_id)
        assert hook.data["reason"] == again["reason"]
        verify(zhida, hook)
        await solve(zhida, code, order, f"{code}：已更换变压器。")
    await screen.until(ticket_id, "ticket_answered", count=2)
    await zhida.insist(AGENT, "POST", f"dispatch/v1/tickets/{ticket_id}/close", {"satisfied": True})
    ended = await staged(zhida, ticket_id, "closed")
    assert (ended["stage"], ended["measures"]["hops"]) == ("closed", 8)
    await zhida.flow.until(TicketClosed, ticket_id, count=2)


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

    async def stopped() -> list[str]:
        view: dict[str, Any] = await zhida.insist(SUPERVISOR, "GET", f"sla_timer/v1/tickets/{ticket_id}/clocks")
        found = [str(each["state"]) for each in view["clocks"]]
        return [] if "running" in found else found

    return list(await zhida.until(stopped, f"all clocks of {ticket_id} have stopped"))


async def nothing_runs(zhida: Zhida, ticket_id: str) -> None:
    """Every clock that was started was stopped, once, and all in time."""
    assert set(await outcomes(zhida, ticket_id)) == {"met"}

    async def told() -> bool:
        await zhida.flow.read()
        started = [each.clock_id for event in zhida.flow.all(ClocksStarted, ticket_id) for each in event.clocks]
        stopped = [each.clock_id for event in zhida.flow.all(ClocksStopped, ticket_id) for each in event.clocks]
        return len(started) == 10 and sorted(started) == sorted(stopped)

    await zhida.until(told, f"all clocks of {ticket_id} are told to have stopped")


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
    assert {each.recipient for each in zhida.flow.all(NotificationSent, ticket_id)} >= {NAME}
