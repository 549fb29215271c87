"""Any life of some tickets in dispatch, over its real handlers, commands and database, is the one the oracle tells."""

import asyncio
import base64
import copy
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from deploy.local.backend import Backend
from libs.shared.contracts import dispatch as says
from libs.shared.contracts.classification import Department, MatrixPublished
from libs.shared.contracts.sla_timer import ClockBreached, ClockKind, ClockWarned
from libs.shared.events import Event
from libs.shared.service import Record
from services.dispatch import reassigning
from services.dispatch.main import service
from tests.integration.dispatch.world import DELIVERY_KEY, MARKETING, METER, REPAIR, amended, classified, clock
from tests.integration.property.dispatch_model import Outcome, Said, Ticket
from tests.integration.property.profile import Place, bounded, placed

DEPARTMENTS = (METER, REPAIR, MARKETING)
CODES = [each.code for each in DEPARTMENTS]
POLICIES: list[Literal["all", "any", "lead"]] = ["all", "any", "lead"]
EXAMPLES, STEPS = 60, 22


class Draw(NamedTuple):
    """What is to be tried; numbers choose among what there is by then."""

    kind: str
    ticket: int
    order: int
    who: int
    x: int


KINDS = ["accept", "contacted", "answer", "return", "rule", "question", "evidence", "ask", "reply", "close", "reopen"]
small = st.integers(0, 11)
commands = st.builds(Draw, st.sampled_from([*KINDS, "answer", "rule", "reply"]), small, small, small, small)
facts = st.builds(Draw, st.sampled_from(["classify", "amend", "late", "late", "again"]), small, small, small, small)


@dataclass
class Act:
    """One thing done to a ticket: a request with what the oracle says of it, or a batch's facts of that ticket."""

    tell: Callable[[Ticket], tuple[int, list[Said]]]
    request: tuple[httpx.AsyncClient, str, str, dict[str, Any]] | None = None  # client, key, path, body


@dataclass
class Story:
    """A ticket as the service and as the oracle have it."""

    ticket_id: UUID
    model: Ticket
    orders: list[UUID] = field(default_factory=list)
    questions: list[UUID] = field(default_factory=list)
    version: int = 0
    records: list[Record] = field(default_factory=list)
    done: list[tuple[Act, int, Any]] = field(default_factory=list)  # requests that were carried out, and the answer


@dataclass
class World(Place):
    """dispatch with everybody's clients."""

    agent: httpx.AsyncClient
    supervisor: httpx.AsyncClient
    departments: dict[str, httpx.AsyncClient]


@pytest.fixture
def world(stores: Backend) -> Iterator[World]:
    key = base64.b64encode(DELIVERY_KEY).decode()
    with placed(stores, service, delivery_key=key, dispute_work_orders=1_000_000) as place:
        stack = AsyncExitStack()

        async def everybody() -> World:
            async def client(principal: str, scope: str) -> httpx.AsyncClient:
                return await stack.enter_async_context(place.harness.client(principal, scope))

            departments = tuple(DEPARTMENTS)
            await place.harness.hear(
                MatrixPublished(matrix_version="m", pack="p", departments=departments, situations=1, by="root")
            )
            admin = await client("root", "admin")
            body = {"url": "http://127.0.0.1:9/", "networks": ["127.0.0.0/8"]}
            assert (await admin.put("/v1/endpoints/repair", json=body)).is_success
            return World(
                place.loop,
                place.harness,
                await client("a1", "agent"),
                await client("chief", "supervise"),
                {code: await client(code, "department") for code in CODES},
            )

        yield place.run(everybody())
        place.run(stack.aclose())


def test_every_life_of_tickets_is_the_one_the_domain_tells(world: World) -> None:
    class Here(Lives):
        at = world

    run_state_machine_as_test(Here, settings=bounded(EXAMPLES, STEPS))


class Lives(RuleBasedStateMachine):
    """A few tickets; what is done to them comes alone, in batches, twice, and at the same time.

    What is drawn never depends on how things stand, because what came of requests at the same time may differ.
    """

    at: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.stories: list[Story] = []
        self.well = True  # nothing has failed so far

    @rule(
        executing=st.lists(st.sampled_from(DEPARTMENTS), min_size=1, max_size=3),
        lead=st.sampled_from(DEPARTMENTS),
        policy=st.sampled_from(POLICIES),
    )
    @precondition(lambda self: len(self.stories) < 2)
    def begin(self, executing: list[Department], lead: Department, policy: Literal["all", "any", "lead"]) -> None:
        """A new ticket."""
        event = classified(*executing, lead=lead, join_policy=policy)
        model = Ticket(lead.code, policy, "a1", frozenset(["repair"]), frozenset(CODES))
        story = Story(event.ticket_id, model)
        self.stories.append(story)
        codes = [each.code for each in executing]
        record = self.at.harness.record(event)
        story.records.append(record)
        self._do(
            {len(self.stories) - 1: [Act(lambda ticket: (0, ticket.classify(codes, lead.code, policy)))]}, [record]
        )

    @rule(draw=commands)
    @precondition(lambda self: self.stories)
    def command(self, draw: Draw) -> None:
        """One request alone."""
        self._do({self._which(draw): [self._request(draw)]}, [])

    @rule(draw=small)
    @precondition(lambda self: self.stories)
    def work(self, draw: int) -> None:
        """A department takes on a share, speaks with the customer and answers, so that lives go on."""
        for kind in ("accept", "contacted", "answer"):
            self._do({self._which(Draw(kind, draw % 2, draw // 2, 0, 0)): [
                self._request(Draw(kind, draw % 2, draw // 2, 0, 0))]}, [])  # fmt: skip

    @rule(draws=st.lists(facts, min_size=1, max_size=5))
    @precondition(lambda self: self.stories)
    def hear(self, draws: list[Draw]) -> None:
        """A batch of facts of all tickets; one classification at most, for one transaction's ids have no order."""
        again = [draw for draw in draws if draw.kind == "classify"]
        self._do(*self._facts([draw for draw in draws if draw.kind != "classify" or draw is again[0]]))

    @rule(draws=st.lists(commands, min_size=2, max_size=4), told=st.lists(facts, max_size=2))
    @precondition(lambda self: self.stories)
    def together(self, draws: list[Draw], told: list[Draw]) -> None:
        """Requests and facts at the same time: what comes of them must be what some order of them gives."""
        acts, records = self._facts([each for each in told if each.kind != "classify"])
        for draw in draws:
            acts.setdefault(self._which(draw), []).append(self._request(draw))
        self._do(acts, records)

    @rule(ticket=small, which=small, at_once=st.booleans())
    @precondition(lambda self: self.stories)
    def repeat(self, ticket: int, which: int, at_once: bool) -> None:
        """A request again under its Idempotency-Key: the same answer, and nothing happens; another one is refused."""
        stories = [story for story in self.stories if story.done]
        if not stories:
            return
        story = stories[ticket % len(stories)]
        act, status, body = story.done[which % len(story.done)]
        assert act.request
        client, key, path, sent = act.request
        other = {**sent, "text": "anders"} if "text" in sent else sent
        answers = self.at.run(_all([_post(client, key, path, sent) for _ in range(1 + at_once)]))
        assert (status, body) in [(each.status_code, each.json()) for each in answers]
        assert {each.status_code for each in answers} <= {status, 409}  # 409: this very process is at it
        if other != sent:
            assert self.at.run(_post(client, key, path, other)).status_code == 422
        assert self.at.run(self.at.harness.said()) == []

    @rule(source=small, step=st.integers(1, 2))
    @precondition(lambda self: self.stories)
    def move_all(self, source: int, step: int) -> None:
        """All that a department has goes to another one, wherever it stands."""
        self.well = False
        old, new = CODES[source % 3], CODES[(source + step) % 3]
        body = {"from_department": old, "to_department": new, "reason": "机构调整"}
        answer = self.at.run(_post(self.at.supervisor, str(uuid4()), "/v1/reassignments", body))
        assert answer.status_code == 202, answer.text
        while self.at.run(reassigning.step(self.at.harness.running)):
            pass
        said = self.at.run(self.at.harness.said())  # also of the tickets of other examples
        for story in self.stories:
            told = [self._told(story, event) for event in said if event.key == str(story.ticket_id)]
            assert told == story.model.reassign(old, new)
        self.well = True

    @rule(ticket=small)
    @precondition(lambda self: self.stories)
    def look(self, ticket: int) -> None:
        """What an agent is shown is how it stands."""
        self._check(self.stories[ticket % len(self.stories)])

    @invariant()
    def nothing_is_buried(self) -> None:
        assert self.at.harness.bus.health.buried == 0

    def teardown(self) -> None:
        """How it stands in the end, unless a step has failed."""
        for story in self.stories if self.well else ():
            self._check(story)

    # -- from what was drawn to what is done

    def _which(self, draw: Draw) -> int:
        return draw.ticket % len(self.stories)

    def _facts(self, draws: Sequence[Draw]) -> tuple[dict[int, list[Act]], list[Record]]:
        acts: dict[int, list[Callable[[Ticket], list[Said]]]] = {}
        records: list[Record] = []
        for draw in draws:
            story = self.stories[self._which(draw)]
            known = acts.setdefault(self._which(draw), [])
            record, tell = self._fact(story, draw)
            if draw.kind != "again":
                story.records.append(record)
            records.append(record)
            known.append(tell)

        def block(tells: list[Callable[[Ticket], list[Said]]]) -> Act:
            return Act(lambda ticket: (0, [said for tell in tells for said in tell(ticket)]))

        return {place: [block(tells)] for place, tells in acts.items()}, records

    def _fact(self, story: Story, draw: Draw) -> tuple[Record, Callable[[Ticket], list[Said]]]:
        record = self.at.harness.record
        place = draw.order % len(story.orders)
        match draw.kind:
            case "classify":
                executing = [DEPARTMENTS[draw.who % 3], DEPARTMENTS[draw.x % 3]][: 1 + draw.order % 2]
                lead, policy = DEPARTMENTS[draw.x // 3 % 3], POLICIES[draw.who // 3 % 3]
                event = classified(*executing, ticket_id=story.ticket_id, lead=lead, join_policy=policy)
                codes = [each.code for each in executing]
                return record(event), lambda ticket: ticket.classify(codes, lead.code, policy)
            case "amend":
                return record(amended(story.ticket_id)), Ticket.amend
            case "late":
                order = {"work_order_id": str(story.orders[place]), "department": CODES[0], "department_name": "x"}
                kind: ClockKind = ("accept", "accept", "ruling", "first_contact")[draw.x % 4]
                running = clock(order, kind)
                percent = (50, 80, 150)[draw.who % 3]
                told: Event = ClockBreached(ticket_id=story.ticket_id, clock=running)
                if draw.x % 2:
                    told = ClockWarned(ticket_id=story.ticket_id, clock=running, percent=percent)
                late = kind == "accept" and not (draw.x % 2 and percent < 80)
                if kind == "ruling":
                    return record(told), lambda ticket: ticket.unruled(place)
                return record(told), lambda ticket: ticket.late(place) if late else []
            case _:
                old = story.records[draw.x % len(story.records)]
                again = self.at.harness.raw(old.topic, old.key, old.value, old.headers)
                return again, lambda _: []

    def _request(self, draw: Draw) -> Act:
        story = self.stories[self._which(draw)]
        place = draw.order % len(story.orders)
        model = story.model
        order = model.orders[place]
        path, text = f"/v1/work-orders/{story.orders[place]}", f"答复{draw.x % 3}"
        department = self.at.departments[order.department]
        suggested = [None, *CODES, "nobody"][draw.x % 5]
        match draw.kind:
            case "accept" | "contacted":
                move = Ticket.accept if draw.kind == "accept" else Ticket.contacted
                return self._act(department, f"{path}/{draw.kind}", {}, lambda ticket: move(ticket, place))
            case "return":
                body = {"reason_code": "not_ours", "reason": text, "suggested_department": suggested}
                return self._act(department, f"{path}/return", body, lambda ticket: ticket.give_back(place, suggested))
            case "question":
                return self._act(
                    department, f"{path}/questions", {"text": text}, lambda ticket: ticket.question(place, text)
                )
            case "evidence":
                body = {"kind": "photo", "uri": "https://x.example/1"}
                return self._act(department, f"{path}/evidence", body, lambda ticket: ticket.evidence(place))
            case "answer":
                return self._act(
                    department, f"{path}/answer", {"text": text}, lambda ticket: ticket.answer(place, text)
                )
            case "rule":
                waiting = [n for n, each in enumerate(model.orders) if each.judge]
                ruled = waiting[draw.order % len(waiting)] if waiting and draw.x != 11 else place
                judge = model.orders[ruled].judge
                by = judge[1] if judge and draw.who % 4 else ([*CODES, "chief"])[draw.who % 4]
                scope = "supervise" if by == "chief" else "department"
                client = self.at.supervisor if by == "chief" else self.at.departments[by]
                decision = "reject" if draw.x % 3 == 2 else "uphold"
                to = [None, *CODES, "nobody"][(draw.x + draw.who) % 5]
                return self._act(
                    client,
                    f"/v1/work-orders/{story.orders[ruled]}/ruling",
                    {"decision": decision, "department": to},
                    lambda ticket: ticket.rule(ruled, decision, to, by, scope),
                )
            case "ask":
                body = {"text": text}
                to, at = (None, place) if draw.x % 3 == 0 else ([None, *CODES][draw.x % 4], None)
                body |= {"work_order_id": str(story.orders[place])} if at is not None else {}
                body |= {"department": to} if to else {}
                path = f"/v1/tickets/{story.ticket_id}/questions"
                return self._act(self.at.agent, path, body, lambda ticket: ticket.ask(to, at, "a1", text))
            case "reply" if story.questions:
                number = draw.order % len(story.questions)
                asked = model.questions[number]
                right = "a1" if asked.asked_by == "department" else model.orders[asked.order].department
                by = right if draw.who % 4 else ["a1", *CODES][draw.x % 4]
                client = self.at.agent if by == "a1" else self.at.departments[by]
                scope = "agent" if by == "a1" else "department"
                path = f"/v1/questions/{story.questions[number]}/answer"
                return self._act(client, path, {"text": text}, lambda ticket: ticket.reply(number, text, by, scope))
            case "close":
                satisfied = [None, None, True, False][draw.x % 4]
                path = f"/v1/tickets/{story.ticket_id}/close"
                return self._act(self.at.agent, path, {"satisfied": satisfied}, lambda ticket: ticket.close(satisfied))
            case _:
                path = f"/v1/tickets/{story.ticket_id}/reopen"
                return self._act(self.at.agent, path, {"reason": text}, Ticket.reopen)

    def _act(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any], tell: Callable[[Ticket], Outcome]
    ) -> Act:
        return Act(tell, (client, str(uuid4()), path, body))

    # -- doing it, and what must come of it

    def _do(self, acts: dict[int, list[Act]], records: list[Record]) -> None:
        """All of it at the same time; then each ticket must be as some order of its acts makes it."""
        self.well = False
        flat = [act for each in acts.values() for act in each if act.request]
        answers, said = self.at.run(self._sent(flat, records))
        answered = {id(act): answer for act, answer in zip(flat, answers, strict=True)}
        for place, mine in acts.items():
            story = self.stories[place]
            told = [self._told(story, event) for event in said if event.key == str(story.ticket_id)]
            statuses = {id(act): answered[id(act)].status_code if act.request else 0 for act in mine}
            tried = []
            for order in itertools.permutations(mine):
                model = copy.deepcopy(story.model)
                found = [(id(act), *act.tell(model)) for act in order]
                expected = {who: status for who, status, _ in found}, [each for _, _, more in found for each in more]
                if expected == (statuses, told):
                    story.model = model
                    break
                tried.append((list(expected[0].values()), expected[1]))
            else:
                texts = [answered[id(act)].text for act in mine if act.request]
                raise AssertionError(f"{list(statuses.values())} {told}\nbut must be such as {tried[0]}\n{texts}")
            for act in mine:
                if act.request and statuses[id(act)] < 300:
                    answer = answered[id(act)]
                    story.done.append((act, answer.status_code, answer.json()))
        keys = {str(story.ticket_id) for story in self.stories}
        assert {event.key for event in said} <= keys
        self.well = True

    async def _sent(self, acts: Sequence[Act], records: list[Record]) -> tuple[list[httpx.Response], list[Event]]:
        asking = asyncio.ensure_future(_all([_post(*act.request) for act in acts if act.request]))
        if records:
            await self.at.harness.take(records)
        return await asking, await self.at.harness.said()

    def _told(self, story: Story, event: Event) -> Said:
        """A fact as the oracle tells it; its version is the ticket's next."""
        story.version += 1
        assert event.envelope.version == story.version
        name = type(event).__name__
        if isinstance(event, says.WorkOrderAssigned):
            story.orders.append(event.work_order_id)
        if isinstance(event, says.QuestionAsked):
            story.questions.append(event.question_id)
        place = story.orders.index(event.work_order_id) if hasattr(event, "work_order_id") else -1
        match event:
            case says.WorkOrderAssigned(department=to, lead_department=lead, reassigned_from=old):
                return name, place, to.code, lead.code, story.orders.index(old) if old else None
            case says.WorkOrderReturned():
                return name, place, event.ruled_by, event.suggested_department
            case says.ReturnRuled():
                return name, place, event.decision, event.by, event.reassigned_to and event.reassigned_to.code
            case says.QuestionAsked():
                number = story.questions.index(event.question_id)
                return name, place, number, event.asked_by, event.asker, event.agent_id, event.text
            case says.QuestionAnswered():
                number = story.questions.index(event.question_id)
                return name, place, number, event.asked_by, event.agent_id, event.text
            case says.WorkOrderAnswered():
                return name, place, event.text
            case says.TicketAnswered():
                parts = tuple((story.orders.index(each.work_order_id), each.text) for each in event.answers)
                return name, parts, event.join_policy, event.measures.hops, event.measures.transfers
            case says.TicketClosed():
                return name, event.satisfied
            case says.TicketReopened():
                return name, tuple(story.orders.index(each) for each in event.work_order_ids)
            case _:
                return name, place

    def _check(self, story: Story) -> None:
        shown = self.at.run(self.at.agent.get(f"/v1/tickets/{story.ticket_id}")).json()
        model = story.model
        assert (shown["state"], shown["round"]) == (model.state, model.round)
        assert (shown["lead_department"], shown["join_policy"]) == (model.lead, model.policy)
        assert [
            (
                UUID(each["work_order_id"]),
                each["department"],
                each["state"],
                each["returns"],
                bool(each["contacted_at"]),
            )
            for each in shown["work_orders"]
        ] == [
            (id_, order.department, order.state, order.returns, order.contacted)
            for id_, order in zip(story.orders, model.orders, strict=True)
        ]
        for each, order in zip(shown["work_orders"], model.orders, strict=True):
            assert set(each["allowed"]) == order.allowed & {
                "accept", "contacted", "questions", "evidence", "return", "answer"
            }  # fmt: skip
        assert {UUID(each["question_id"]): each["reply"] for each in shown["questions"]} == {
            id_: question.reply for id_, question in zip(story.questions, model.questions, strict=True)
        }


async def _all(works: Sequence[Awaitable[httpx.Response]]) -> list[httpx.Response]:
    return list(await asyncio.gather(*works))


async def _post(client: httpx.AsyncClient, key: str, path: str, body: dict[str, Any]) -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key})
