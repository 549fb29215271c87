"""Where a ticket is: heard from the flow, shown by the API."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event as listen

from libs.shared.contracts.dispatch import TicketClosed, WorkOrderAccepted
from libs.shared.events import Envelope, Event, uuid7
from services.intake.store import BY_REFERENCE, BY_STAGE, BY_TIME, LAST_ID
from tests.integration.intake.conftest import fields, post, taken, ticket
from tests.running import TRACEPARENT, Harness
from tests.unit.intake import test_stage as facts

FIRST = facts.FIRST


def at(ticket_id: UUID, when: datetime, fact: Event) -> Event:
    """The fact about that ticket, said then."""
    moved = fact.model_copy(update={"ticket_id": ticket_id})
    return moved.enveloped(Envelope(uuid7(when), "test", when, 1, TRACEPARENT))


async def received_at(h: Harness, ticket_id: UUID) -> datetime:
    [row] = await h.rows("SELECT received_at FROM ticket WHERE ticket_id = :id", id=ticket_id)
    found: datetime = row.received_at
    return found


@pytest.mark.parametrize("together", [True, False])
async def test_a_tickets_whole_way_is_shown(h: Harness, platform: httpx.AsyncClient, together: bool) -> None:
    ticket_id = await taken(platform)
    begin = await received_at(h, ticket_id)
    way = [at(ticket_id, begin + timedelta(minutes=m), fact) for m, fact in enumerate(facts.WAY[:7], 1)]
    answered = begin + timedelta(minutes=7)
    way.append(at(ticket_id, answered + timedelta(seconds=30), facts.told(answered)))
    way.append(at(ticket_id, begin + timedelta(minutes=9), facts.WAY[8]))
    for batch in [way] if together else [[fact] for fact in way]:
        await h.hear(*batch)
    shown = (await platform.get(f"/v1/tickets/{ticket_id}")).json()
    assert shown["stage"] == "closed"
    assert datetime.fromisoformat(shown["since"]) == begin + timedelta(minutes=9)
    minutes = {stage: datetime.fromisoformat(when) - begin for stage, when in shown["reached"].items()}
    assert {stage: passed / timedelta(minutes=1) for stage, passed in minutes.items()} == {
        "received": 0, "classified": 1, "assigned": 2, "delivered": 3, "accepted": 4, "contacted": 5,
        "answered": 7, "told": 7.5, "closed": 9,
    }  # fmt: skip
    assert shown["departments"] == [
        {
            "work_order_id": str(FIRST),
            "department": "power",
            "name": "生产设备管理部",
            "state": "answered",
            "since": (begin + timedelta(minutes=6)).isoformat().replace("+00:00", "Z"),
        }
    ]
    assert shown["measures"] == {
        "hops": 4, "transfers": 1, "first_contact_minutes": 7, "resolve_minutes": 30, "told_minutes": 0.5,
    }  # fmt: skip
    assert (shown["situation"], shown["lead_department"]) == ("频繁停电", "市场营销部")
    assert "13812345678" not in str(shown)
    assert "张三" not in str(shown)


async def test_a_batch_of_many_kinds_of_facts_is_three_statements(h: Harness, platform: httpx.AsyncClient) -> None:
    ids = [await taken(platform) for _ in range(3)]
    statements: list[str] = []
    listen.listen(h.running.engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    now = datetime.now(UTC)
    await h.take([h.record(at(ticket_id, now, fact)) for fact in facts.WAY[:5] for ticket_id in ids])
    assert len([statement for statement in statements if "ticket_stage" in statement]) == 2  # read, write


async def test_a_late_fact_is_recorded_and_changes_nothing(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    now = datetime.now(UTC)
    await h.hear(*(at(ticket_id, now, fact) for fact in facts.WAY))
    before = (await platform.get(f"/v1/tickets/{ticket_id}")).json()
    late = at(ticket_id, now, WorkOrderAccepted(ticket_id=ticket_id, work_order_id=uuid4(), department="power"))
    await h.hear(late)
    assert (await platform.get(f"/v1/tickets/{ticket_id}")).json() == before
    [row] = await h.rows("SELECT * FROM late_fact")
    assert (row.event_id, row.ticket_id, row.type) == (late.envelope.id, ticket_id, "zhida.WorkOrderAccepted.v1")


async def test_a_fact_about_a_ticket_that_is_not_here_is_passed_over(h: Harness) -> None:
    assert await h.hear(TicketClosed(ticket_id=uuid4(), by="a", satisfied=None)) == []
    assert await h.rows("SELECT * FROM dead") == []


async def test_an_amendment_is_masked_said_and_shown(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    await h.said()
    url = f"/v1/tickets/{ticket_id}/amendments"
    answer = await platform.post(url, json={"text": "换个电话13987654321"}, headers={"Idempotency-Key": "a"})
    again = await platform.post(url, json={"text": "换个电话13987654321"}, headers={"Idempotency-Key": "a"})
    assert answer.status_code == again.status_code == 202
    assert answer.json() == again.json()
    [event] = await h.said()
    assert (event.key, event.envelope.version) == (str(ticket_id), 2)
    [shown] = (await platform.get(f"/v1/tickets/{ticket_id}")).json()["amendments"]
    assert (shown["text"], shown["by"]) == ("换个电话139****4321", "call-centre")
    assert shown["amendment_id"] == answer.json()["amendment_id"]


async def test_a_closed_ticket_takes_no_amendment(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    await h.hear(TicketClosed(ticket_id=ticket_id, by="a", satisfied=None))
    for target, status in ((ticket_id, 409), (uuid4(), 404)):
        answer = await platform.post(
            f"/v1/tickets/{target}/amendments", json={"text": "再补充"}, headers={"Idempotency-Key": uuid4().hex}
        )
        assert answer.status_code == status
    assert await h.rows("SELECT * FROM amendment") == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "a\x00"}, "text"),
        ({"text": 5}, "text"),
        ({"text": "x" * 5001}, "text"),
        ({"text": "好", "by": "me"}, "by"),
    ],
)
async def test_a_wrong_amendment_names_its_field(visitor: httpx.AsyncClient, body: object, named: str) -> None:
    answer = await visitor.post(
        f"/v1/tickets/{uuid4()}/amendments", json=body, headers={"Idempotency-Key": uuid4().hex}
    )
    assert answer.status_code == 422
    assert fields(answer) == [named]


async def test_a_ticket_is_found_by_the_platforms_own_number(platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform, external_ref="F-1")
    await taken(platform, external_ref="F-1", channel="12345")
    found = (await platform.get("/v1/tickets", params={"channel": "95598", "external_ref": "F-1"})).json()
    assert [each["ticket_id"] for each in found["items"]] == [str(ticket_id)]
    none = (await platform.get("/v1/tickets", params={"channel": "95598", "external_ref": "F-2"})).json()
    assert none == {"items": [], "next": None}


async def test_tickets_are_listed_by_stage_page_by_page_without_hole_or_copy(
    h: Harness, platform: httpx.AsyncClient
) -> None:
    answer = await post(platform, [ticket() for _ in range(25)])
    ids = [UUID(result["ticket_id"]) for result in answer.json()["results"]]
    await h.hear(*(TicketClosed(ticket_id=each, by="a", satisfied=None) for each in ids[:5]))
    for stage, expected in ((None, ids), ("closed", ids[:5]), ("received", ids[5:]), ("told", [])):
        seen: list[str] = []
        after = ""
        while after is not None:
            given = (("limit", "7"), ("stage", stage), ("after", after))
            params = {name: value for name, value in given if value}
            page = (await platform.get("/v1/tickets", params=params)).json()
            seen += [each["ticket_id"] for each in page["items"]]
            after = page["next"]
        assert seen == sorted(map(str, expected), reverse=True)


async def test_tickets_are_listed_by_time_of_receipt(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    begin = await received_at(h, ticket_id)
    for since, until, count in ((-1, 1, 1), (0, 1, 1), (1, 2, 0), (-2, -1, 0)):
        params = {
            "since": (begin + timedelta(seconds=since)).isoformat(),
            "until": (begin + timedelta(seconds=until)).isoformat(),
        }
        assert len((await platform.get("/v1/tickets", params=params)).json()["items"]) == count


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"channel": "95598"}, "external_ref"),
        ({"external_ref": "1"}, "channel"),
        ({"channel": "fax", "external_ref": "1"}, "channel"),
        ({"stage": "lost"}, "stage"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"after": "nonsense"}, "after"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"color": "red"}, "color"),
    ],
)
async def test_a_wrong_search_names_its_parameter(
    visitor: httpx.AsyncClient, params: dict[str, str], named: str
) -> None:
    answer = await visitor.get("/v1/tickets", params=params)
    assert answer.status_code == 422
    assert fields(answer) == [named]


async def test_who_may_see_tickets(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    for scope, status in (("agent", 200), ("supervise", 200), ("department", 403), ("vault", 403)):
        async with h.client("someone", scope) as client:
            assert (await client.get(f"/v1/tickets/{ticket_id}")).status_code == status
    assert (await platform.get(f"/v1/tickets/{uuid4()}")).status_code == 404
    assert (await platform.get("/v1/tickets/nonsense")).status_code == 422


async def test_a_page_reads_only_its_rows_by_index(h: Harness) -> None:
    await h.rows("""
        WITH made AS (SELECT gen_random_uuid() AS id, n FROM generate_series(1, 20000) AS n),
        tickets AS (
            INSERT INTO ticket (ticket_id, channel, external_ref, title, text, star, sensitive, opened_at, received_at,
                received_by)
            SELECT id, '95598', n, 't', 't', 1, false, now(), now(), 'x' FROM made),
        stages AS (
            INSERT INTO ticket_stage (ticket_id, stage, since, reached)
            SELECT id, CASE n % 10 WHEN 0 THEN 'received' ELSE 'closed' END, now(), '{}' FROM made)
        SELECT 1""")
    await h.rows("ANALYZE ticket, ticket_stage")
    values = {"before": LAST_ID, "low": UUID(int=0), "limit": 5, "stage": "received", "channel": "95598"}
    for statement in (BY_STAGE, BY_TIME, BY_REFERENCE):
        sql = re.sub(r":(\w+)", lambda name: f"'{values.get(name[1], 'x')}'", str(statement))
        plan = "\n".join(row[0] for row in await h.rows(f"EXPLAIN {sql}"))
        assert "Seq Scan" not in plan, plan
        assert "Sort  (cost" not in plan, plan
