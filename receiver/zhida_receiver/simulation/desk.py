"""One simulated department at work: takes webhooks, works through orders, calls Zhida back."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import asdict
from typing import Any, assert_never

from zhida_receiver.app import Attempt
from zhida_receiver.call import DepartmentError, MoveRefused, Refused
from zhida_receiver.department import Department, OpenOrder, OpenReturn
from zhida_receiver.notice import Notice, NoticeUnreadable, WorkOrder
from zhida_receiver.receipt import Reply
from zhida_receiver.simulation.course import Course, course, fault
from zhida_receiver.simulation.log import Log
from zhida_receiver.simulation.phone import Command, Phone
from zhida_receiver.simulation.plan import Role
from zhida_receiver.simulation.speech import speech

_log = logging.getLogger(__name__)

_TO_DO = ("assigned", "accepted", "reopened")  # states of a work order that wait for the department


class Desk:
    """A department while it runs. What must survive a crash is kept by Zhida, the log and the receipts."""

    def __init__(self, role: Role, seed: int, zhida: Department, calls: asyncio.Semaphore, log: Log) -> None:
        self.role = role
        self.counts: Counter[str] = Counter()
        self._seed = seed
        self._zhida = zhida
        self._phone = Phone(role.code, calls, log, self.counts)
        self._log = log
        self._tries: Counter[str] = Counter()  # attempts to deliver, by webhook-id, until one succeeds
        self._underway: dict[str, asyncio.Task[None]] = {}  # by work order
        self._loose: set[asyncio.Task[None]] = set()
        self._replies: dict[str, asyncio.Event] = {}  # set when the agent has answered, by work order
        self._returned: set[str] = set()
        self._done: set[str] = set()  # work orders not to be picked up from the list again
        self._waiting: set[str] = set()  # seen in the list the last time, and not yet begun

    async def take(self, notice: Notice) -> Reply | None:
        """Deal with a webhook, unless this attempt is one that shall go wrong."""
        self._tries[notice.id] += 1
        words = _words(notice.data) or notice.id
        behaviour = self.role.behaviour
        match fault(behaviour, self._seed, self.role.code, words, self._tries[notice.id]):
            case "fail":
                return Reply(500)
            case "throttle":
                return Reply(429, headers=(("Retry-After", str(behaviour.retry_after)),))
            case "hang":
                await asyncio.sleep(behaviour.hang_seconds)
                return Reply(504)
            case "none":
                del self._tries[notice.id]
                self._begin(notice, notice.id)
                return Reply(200, b'{"received":true}')
            case unknown:
                assert_never(unknown)

    async def note(self, attempt: Attempt) -> None:
        """Write down what came in, before it is answered."""
        data = attempt.notice.data if attempt.notice else {}
        self.counts["webhooks"] += 1
        self.counts["duplicates"] += attempt.duplicate
        self.counts["refused"] += attempt.status >= 300
        await self._log.write(
            {
                "event": "webhook",
                "department": self.role.code,
                "webhook_id": attempt.id,
                "received_at": attempt.received_at.isoformat(),
                "type": attempt.notice.type if attempt.notice else None,
                "ticket_id": data.get("ticket_id"),
                "work_order_id": data.get("work_order_id"),
                "status": attempt.status,
                "duplicate": attempt.duplicate,
            }
        )
        if attempt.duplicate and attempt.notice and self.role.behaviour.works_twice:
            self._begin(attempt.notice, f"{attempt.id}-again-{self.counts['duplicates']}")

    async def look(self) -> None:
        """Pick up work orders and returns that no webhook has brought since the last look, as at a screen."""
        waiting: set[str] = set()
        async for found in self._zhida.every_work_order("open"):
            name = found.order.work_order_id
            done = name in self._done and found.state != "reopened"  # a reopened one waits again, whatever we did
            if found.state not in _TO_DO or done or name in self._underway:
                continue
            if name in self._waiting:
                self.counts["from_list"] += 1
                self._start(name, self._carry_on(found, f"list-{found.state}-{name}"))
            else:
                waiting.add(name)
        page = await self._zhida.returns()
        for case in page.items:  # the next look sees those behind the first page
            if case.return_id in self._waiting:
                self._start(case.return_id, self._rule_from_list(case))
            elif case.return_id not in self._underway:
                waiting.add(case.return_id)
        self._waiting = waiting

    async def finish(self, seconds: float) -> int:
        """Let what is in hand end within `seconds`, drop the rest; returns how many orders were dropped."""
        tasks = [*self._underway.values(), *self._loose]
        if tasks:
            _, rest = await asyncio.wait(tasks, timeout=seconds)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            return len(rest)
        return 0

    def _begin(self, notice: Notice, key: str) -> None:
        data = notice.data
        name = str(data.get("work_order_id", ""))
        match notice.type:
            case "work_order.assigned" | "work_order.reopened":
                try:
                    order = WorkOrder.of(data)
                except NoticeUnreadable:
                    self.counts["unreadable"] += 1
                    return
                fresh = notice.type == "work_order.assigned" and not data.get("reassigned_from")
                self._start(name, self._work(order, key, may_return=fresh))
            case "return.ruled" if data.get("decision") == "reject":
                self._start(name, self._resume(name, key))
            case "work_order.cancelled" if name in self._underway:
                self.counts["cancelled"] += 1
                self._underway[name].cancel()
            case "question.answered":
                self._replies.setdefault(name, asyncio.Event()).set()
            case "question.asked":
                self._start("", self._reply(notice, key))
            case "return.opened":
                self._start(str(data.get("return_id", "")), self._rule(data, key))
            case _:  # amendments and rulings are read by people; unknown types are passed over
                pass

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        if name and name not in self._underway:
            self._underway[name] = task
            task.add_done_callback(lambda _: self._underway.pop(name, None))
        else:
            self._loose.add(task)
            task.add_done_callback(self._loose.discard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.counts["failed"] += 1
            _log.error("%s: a work order's course broke off", self.role.code, exc_info=task.exception())

    async def _carry_on(self, found: OpenOrder, key: str) -> None:
        """Work on an order of the list from where it stands."""
        accepted = found.state == "accepted"
        may_return = found.state == "assigned" and not found.data.get("returns")
        contacted = accepted and bool(found.data.get("contacted_at"))
        await self._work(found.order, key, accepted=accepted, contacted=contacted, may_return=may_return)

    async def _resume(self, name: str, key: str) -> None:
        """The return was rejected: the order is ours for good."""
        try:
            found = await self._zhida.work_order(name)
        except DepartmentError:
            self.counts["failed"] += 1
            return
        if found.state in _TO_DO:
            await self._carry_on(found, key)

    async def _work(
        self, order: WorkOrder, key: str, *, accepted: bool = False, contacted: bool = False, may_return: bool = False
    ) -> None:
        """On to the answer, as the drawn course goes. `key` begins the keys of its commands."""
        name = order.work_order_id
        way = self._course({"title": order.title, "text": order.text}, key)
        self._done.add(name)
        try:
            if not accepted and not await self._take_on(order, way, key, may_return=may_return):
                return
            if not contacted:
                await asyncio.sleep(way.contact_after)
                note = way.choice.choice(speech().contacts)
                await self._phone.call(
                    "contacted", order, self._zhida.contacted, name, note=note, key=f"{key}-contacted"
                )
            await self._solve(order, way, key)
            self._done.discard(name)  # should it be reopened where no webhook tells, the list does
        except MoveRefused:
            self.counts["overtaken"] += 1  # another department, the agent or an earlier copy was faster
        except Refused:
            self.counts["failed"] += 1
        except DepartmentError:
            self.counts["failed"] += 1
            self._done.discard(name)  # the next look at the list tries again

    async def _take_on(self, order: WorkOrder, way: Course, key: str, *, may_return: bool) -> bool:
        """Accept the work order; False when it is returned or left lying."""
        name = order.work_order_id
        await asyncio.sleep(way.accept_after)
        if way.ending == "never":
            self.counts["left_lying"] += 1
            return False
        if way.ending == "return" and may_return and name not in self._returned:
            self._returned.add(name)
            reason = way.choice.choice(speech().returns)
            suggested = self._other(way, than=self.role.code)
            await self._phone.call(
                "return",
                order,
                self._zhida.return_,
                name,
                reason.code,
                reason.text,
                suggested_department=suggested,
                key=f"{key}-return",
            )
            self._done.discard(name)  # a rejected return comes back, by webhook or on the list
            return False
        await self._phone.call("accept", order, self._zhida.accept, name, key=f"{key}-accept")
        return True

    async def _solve(self, order: WorkOrder, way: Course, key: str) -> None:
        name = order.work_order_id
        if way.asks:
            replied = self._replies.setdefault(name, asyncio.Event())
            question = way.choice.choice(speech().questions)
            await self._phone.call("ask_agent", order, self._zhida.ask_agent, name, question, key=f"{key}-question")
            try:
                async with asyncio.timeout(self.role.behaviour.patience):
                    await replied.wait()
            except TimeoutError:
                self.counts["unanswered_questions"] += 1
            self._replies.pop(name, None)
        await asyncio.sleep(way.answer_after)
        if way.adds_evidence:
            kind, file = way.choice.choice(speech().evidence)
            uri = f"https://evidence.example/{name}/{file}"
            await self._phone.call(
                "add_evidence", order, self._zhida.add_evidence, name, kind, uri, key=f"{key}-evidence"
            )
        about = " ".join((order.situation_name, *order.category_path, order.title, order.text))
        text, resolution = speech().answer(about, way.choice)
        await self._phone.call(
            "answer", order, self._zhida.answer, name, text, resolution=resolution, key=f"{key}-answer"
        )

    async def _reply(self, notice: Notice, key: str) -> None:
        way = self._course(notice.data, notice.id)
        await asyncio.sleep(way.reply_after)
        question = str(notice.data.get("question_id", ""))
        text = way.choice.choice(speech().replies)
        await self._tried("answer_question", notice.data, self._zhida.answer_question, question, text, key=key)

    async def _rule_from_list(self, case: OpenReturn) -> None:
        try:
            order = (await self._zhida.work_order(case.work_order_id)).order
        except DepartmentError:
            self.counts["failed"] += 1
            return
        data = {**asdict(case), "department": order.department, "title": order.title, "text": order.text}
        await self._rule(data, f"list-{case.return_id}")

    async def _rule(self, data: Mapping[str, Any], key: str) -> None:
        way = self._course(data, key)
        await asyncio.sleep(way.rule_after)
        target = data.get("suggested_department") or self._other(way, than=data.get("department"))
        decision = "uphold" if way.upholds and target else "reject"
        target = str(target) if decision == "uphold" else None
        note = speech().ruling(decision, way.choice)
        name = str(data.get("work_order_id", ""))
        await self._tried("rule", data, self._zhida.rule, name, decision, department=target, note=note, key=key)

    def _other(self, way: Course, *, than: str | None) -> str | None:
        """A department to suggest or to rule for."""
        others = [code for code in self.role.behaviour.suggests if code != than]
        return way.choice.choice(others) if others else None

    def _course(self, data: Mapping[str, Any], otherwise: str) -> Course:
        return course(self.role.behaviour, self._seed, self.role.code, _words(data) or otherwise)

    async def _tried(self, name: str, data: Mapping[str, Any], command: Command, *details: Any, **options: Any) -> None:
        try:
            await self._phone.call(name, data, command, *details, **options)
        except MoveRefused:
            self.counts["overtaken"] += 1
        except DepartmentError:
            self.counts["failed"] += 1


def _words(data: Mapping[str, Any]) -> str:
    return f"{data.get('title') or ''}{data.get('text') or ''}"
