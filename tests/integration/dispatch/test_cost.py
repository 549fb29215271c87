"""What hot paths cost, in statements and in the shape of plans: the same however large the batch or the table."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import Dialect

from libs.shared.command import Answer, Command, Refused
from libs.shared.events import uuid7
from libs.shared.service import Handler
from services.dispatch import store
from services.dispatch.command import agent, department, progress
from services.dispatch.delivery import record
from services.dispatch.delivery.backoff import GIVE_UP
from services.dispatch.delivery.breaker import Breaker
from services.dispatch.delivery.record import Result
from services.dispatch.domain.endpoint import Attempt, Look
from services.dispatch.domain.order import WorkOrder
from services.dispatch.domain.ticket import Ticket
from services.dispatch.store import delivery as deliveries
from services.dispatch.store.owner import Owners
from tests.integration.dispatch.world import METER, REPAIR, Desk, World, amended, classified, post
from tests.running import TRACEPARENT, Harness

DIALECT: Dialect = import_module("sqlalchemy.dialects.postgresql.asyncpg").dialect()
BY_TICKET = ("ADD", "RECORD", "PROMOTE", "DIVERT", "HURRY", "UNDELIVERED", "CANCEL", "MARK_DELIVERED")


@contextmanager
def counted(harness: Harness) -> Iterator[list[str]]:
    """The statements that the service sends meanwhile."""
    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(" ".join(statement.split())[:80])

    engine = harness.running.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_batch_of_classifications_costs_the_same_statements_whatever_its_size(
    dispatch: Harness, desk: Desk
) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        await world.hear(classified(METER, REPAIR))
        counts = []
        for size in (1, 40):
            records = [dispatch.record(classified(METER, REPAIR)) for _ in range(size)]
            with counted(dispatch) as sent:
                await dispatch.take(records)
            counts.append(len(sent))
        assert counts[0] == counts[1] <= 10, sent


async def test_a_batch_of_amendments_costs_the_same_statements_whatever_its_size(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        events = [classified(METER) for _ in range(41)]
        await world.hear(*events)
        counts = []
        for group in (events[:1], events[1:]):
            records = [dispatch.record(amended(each.ticket_id)) for each in group]
            with counted(dispatch) as sent:
                await dispatch.take(records)
            counts.append(len(sent))
        assert counts[0] == counts[1] <= 8, sent


Moves = Callable[[Sequence[tuple[Ticket, WorkOrder]]], list[Any]]
MOVES: dict[str, tuple[Handler, Moves]] = {
    "accept": (progress.accept, lambda all_: [progress.Accept(o.work_order_id, "meter") for _, o in all_]),
    "contact": (progress.contact, lambda all_: [progress.Contact(o.work_order_id, "meter", None) for _, o in all_]),
    "ask": (department.ask_agent, lambda all_: [department.Ask(o.work_order_id, "meter", "?") for _, o in all_]),
    "evidence": (
        department.add_evidence,
        lambda all_: [department.AddEvidence(o.work_order_id, "meter", "photo", "urn:x", None) for _, o in all_],
    ),
    "answer": (
        progress.answer,
        lambda all_: [progress.AnswerOrder(o.work_order_id, "meter", "已处理", None) for _, o in all_],
    ),
    "reopen": (agent.reopen, lambda all_: [agent.Reopen(o.ticket_id, "a1", "还没好") for _, o in all_]),
    "question": (
        agent.ask_departments,
        lambda all_: [agent.AskDepartments(o.ticket_id, "a1", "?", None, None) for _, o in all_],
    ),
    "return": (
        department.give_back,
        lambda all_: [department.Return(o.work_order_id, "meter", "not_ours", "不归我们", "repair") for _, o in all_],
    ),
    "close": (agent.close, lambda all_: [agent.Close(o.ticket_id, "a1", None) for _, o in all_]),
}


async def flushed(harness: Harness, commands: Sequence[Command]) -> list[Answer | BaseException]:
    """What each is answered when all of them wait for the same transaction."""
    flusher = harness.app.state.flusher
    answers: list[Answer | BaseException] = await asyncio.gather(
        *(flusher.do(each) for each in commands), return_exceptions=True
    )
    return answers


def asked(handler: Handler, args: Any, ticket_id: UUID, key: str | None = None) -> Command:
    return Command(handler, args, str(ticket_id), "p", key or uuid4().hex, repr(args).encode(), TRACEPARENT)


async def every_order(harness: Harness) -> list[tuple[Ticket, WorkOrder]]:
    rows = await harness.rows("SELECT work_order_id FROM work_order ORDER BY work_order_id")
    found = await store.order.some(harness.running, [row.work_order_id for row in rows])
    return [found[row.work_order_id] for row in rows]


async def test_two_hundred_commands_of_a_kind_cost_as_many_statements_as_two(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        await world.hear(classified(REPAIR))
        costs: dict[str, list[int]] = defaultdict(list)
        for size in (2, 200):
            await world.hear(*[classified(METER) for _ in range(size)])
            orders = [pair for pair in await every_order(dispatch) if pair[1].department == "meter"][-size:]
            for move, (handler, args) in MOVES.items():
                commands = [
                    asked(handler, each, order.ticket_id) for each, (_, order) in zip(args(orders), orders, strict=True)
                ]
                with counted(dispatch) as sent:
                    answers = await flushed(dispatch, commands)
                assert all(isinstance(answer, Answer) for answer in answers), (move, answers[0])
                costs[move].append(len(sent))
    assert all(small == large for small, large in costs.values()), costs
    most = {"accept": 6, "contact": 6, "answer": 6, "ask": 7, "evidence": 7, "reopen": 7, "question": 8, "return": 10}
    assert {move: costs[move][0] for move in most} == most  # locks, keys, rows; changes, events, answers; what is new
    assert costs["close"][0] <= 10  # of tickets without an answer: departments are stopped, returns settled


async def test_commands_of_all_kinds_share_reading_and_writing(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.hear(*[classified(METER) for _ in range(30)])
        orders = await every_order(dispatch)
        first = [asked(progress.accept, progress.Accept(o.work_order_id, "meter"), o.ticket_id) for _, o in orders[:20]]
        first += [
            asked(progress.answer, progress.AnswerOrder(o.work_order_id, "meter", "好", None), o.ticket_id)
            for _, o in orders[:10]
        ]  # in the batch that accepts it: a second round
        first += [asked(agent.close, agent.Close(o.ticket_id, "a1", True), o.ticket_id) for _, o in orders[:5]]
        with counted(dispatch) as sent:
            answers = await flushed(dispatch, first)
        assert all(isinstance(answer, Answer) for answer in answers)
        assert len(sent) == 6, sent
        states = [order.state for _, order in await every_order(dispatch)]
        assert states == ["closed"] * 5 + ["answered"] * 5 + ["accepted"] * 10 + ["assigned"] * 10
        said = Counter(type(event).__name__ for event in await dispatch.said())
        assert said == {"WorkOrderAccepted": 20, "WorkOrderAnswered": 10, "TicketAnswered": 10, "TicketClosed": 5}


async def test_each_command_of_a_mixed_batch_has_its_own_answer(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.hear(*[classified(METER) for _ in range(5)])
        [one, two, three, four, five] = [order for _, order in await every_order(dispatch)]
        accepted = asked(progress.accept, progress.Accept(one.work_order_id, "meter"), one.ticket_id, "again")
        assert all(isinstance(answer, Answer) for answer in await flushed(dispatch, [accepted]))
        closing = asked(agent.close, agent.Close(two.ticket_id, "a1", None), two.ticket_id)
        await flushed(dispatch, [closing])
        unknown = uuid4()
        answers = await flushed(
            dispatch,
            [
                asked(progress.accept, progress.Accept(one.work_order_id, "meter"), one.ticket_id, "again"),
                asked(progress.accept, progress.Accept(three.work_order_id, "meter"), three.ticket_id, "fresh"),
                asked(progress.accept, progress.Accept(two.work_order_id, "meter"), two.ticket_id),
                asked(progress.answer, progress.AnswerOrder(four.work_order_id, "meter", "好", None), four.ticket_id),
                asked(progress.answer, progress.AnswerOrder(one.work_order_id, "meter", "好", None), one.ticket_id),
                asked(progress.accept, progress.Accept(unknown, "meter"), unknown),
                asked(agent.close, agent.Close(five.ticket_id, "a1", True), five.ticket_id),
                asked(agent.close, agent.Close(two.ticket_id, "a1", None), two.ticket_id),
            ],
        )
        found = [
            (each.status, each.body["state"] if isinstance(each, Answer) else each.extra.get("state"))
            for each in answers
            if isinstance(each, Answer | Refused)
        ]
        assert found == [
            (200, "accepted"), (200, "accepted"), (409, "closed"), (409, "assigned"), (200, "answered"), (404, None),
            (422, None), (200, "closed"),
        ]  # fmt: skip
        [history] = await dispatch.rows("SELECT count(*) AS number FROM history WHERE what = 'accepted'")
        assert history.number == 2
        versions: dict[str, list[int]] = defaultdict(list)
        for event in await dispatch.said():
            versions[event.key].append(event.envelope.version)
        assert all(sorted(each)[-1] == len(each) + 1 for each in versions.values())  # the assignment was read before


async def test_asking_whose_a_work_order_is_costs_one_statement_for_all_who_ask(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.hear(*[classified(METER) for _ in range(30)])
        orders = [order for _, order in await every_order(dispatch)]
        with counted(dispatch) as sent:
            known = dispatch.running.resources.owners
            found = [await known.find(dispatch.running, order.work_order_id) for order in orders]
            assert not sent
            fresh = Owners()
            ids = [*(order.work_order_id for order in orders), uuid4()]
            again = await asyncio.gather(*(fresh.find(dispatch.running, id_) for id_ in ids))
        assert len(sent) == 1
        assert again == [*found, None]
        assert found == [(order.ticket_id, "meter") for order in orders]


async def test_many_results_are_one_transaction(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        counts = []
        for size in (1, 40):
            await world.hear(*[classified(METER) for _ in range(size)])
            now = datetime.now(UTC)
            due = await store.delivery.due(dispatch.running, {"meter": Look(100, now - timedelta(days=1), now)}, [])
            assert len(due) == size
            results = [Result(Attempt(each, 1, now, 5, True, 204, None, None, None), 1, Breaker()) for each in due]
            with counted(dispatch) as sent:
                await record.results(dispatch.running, results)
            counts.append(len(sent))
        assert counts[0] == counts[1] <= 7, sent


async def test_due_deliveries_are_found_by_their_index_in_a_large_table(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        await dispatch.rows(
            """
            INSERT INTO delivery (delivery_id, department, ticket_id, type, body, traceparent, state, created_at,
                due_at, give_up_at)
            SELECT gen_random_uuid(), 'meter', CAST(:ticket AS uuid), 'work_order.assigned', '{}', '',
                CASE WHEN n % 100 = 0 THEN 'pending' ELSE 'delivered' END, now(), now(), now() + interval '1 day'
            FROM generate_series(1, 20000) n RETURNING 1""",
            ticket=uuid7(datetime.now(UTC)),
        )
        look = {"departments": ["meter"], "rooms": [10], "floors": [datetime.now(UTC)], "held": [uuid4()]}
        plan = await explain(dispatch, str(deliveries.DUE), **look)
        assert "_due_at_" in plan, plan
        assert "Seq Scan on delivery" not in plan, plan
        plan = await explain(dispatch, str(deliveries.OVERDUE), full=GIVE_UP)
        assert "Seq Scan on delivery" not in plan, plan


PLAN = """
    CREATE FUNCTION pg_temp.plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
    BEGIN RETURN QUERY EXECUTE 'EXPLAIN (GENERIC_PLAN) ' || statement; END $$"""
SETTLED = """
    INSERT INTO delivery (delivery_id, department, ticket_id, type, body, traceparent, state, created_at, due_at,
        give_up_at)
    SELECT gen_random_uuid(), 'meter', gen_random_uuid(), 'work_order.assigned', '{}', '', 'delivered', now(), now(),
        now() + interval '1 day' FROM generate_series(1, 2000)"""
QUEUES = ("give_up_at", "department_due_at", "department_state")  # indexes of what waits


async def test_a_burst_after_a_calm_is_not_read_as_a_whole_for_each_of_its_tickets(
    dispatch: Harness, database: str
) -> None:
    statements = {name: getattr(deliveries, name) for name in BY_TICKET}
    connection = await asyncpg.connect(database, server_settings={"search_path": "dispatch", "enable_seqscan": "off"})
    try:
        await connection.execute(SETTLED)
        await connection.execute("ANALYZE delivery")  # what the planner now knows: nothing ever waits
        await connection.execute(PLAN)
        plans = {}
        for name, statement in statements.items():
            sql = str(statement.compile(dialect=DIALECT))
            plans[name] = "\n".join(row[0] for row in await connection.fetch("SELECT pg_temp.plan($1)", sql))
    finally:
        await connection.close()
    read = {name: queue for name, plan in plans.items() for queue in QUEUES if f"{queue}_" in plan}
    assert not read, "\n".join(plans[name] for name in read)


async def explain(harness: Harness, statement: str, **parameters: Any) -> str:
    rows = await harness.running.read(text("EXPLAIN " + statement), **parameters)
    return "\n".join(row[0] for row in rows)


async def test_a_department_with_many_settled_orders_finds_its_open_ones_at_once(world: World) -> None:
    for _ in range(3):
        ticket_id = await world.classify(METER)
        await world.work(ticket_id, "meter")
        await post(world.agent, f"/v1/tickets/{ticket_id}/close")
    ticket_id = await world.classify(METER)
    items = (await world.departments["meter"].get("/v1/work-orders", params={"limit": 1})).json()
    assert [each["ticket_id"] for each in items["items"]] == [str(ticket_id)]
    assert items["next"] is None
