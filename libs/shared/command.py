"""Commands in (HTTP): requests wait on a shared flusher, and up to 500 of them become one transaction.

The Idempotency-Key's row and the answer are written in the effect's own transaction. A waiting request is shielded:
when its caller goes away it still commits.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from libs.shared import db, telemetry
from libs.shared.db import Transaction
from libs.shared.events import json_bytes
from libs.shared.service import Handler, Running, takes_many
from libs.shared.telemetry import log

STORED = text("""
    SELECT c.principal, c.idempotency_key, c.fingerprint, c.status, c.body
    FROM command c JOIN unnest(CAST(:principals AS text[]), CAST(:keys AS text[])) AS w(principal, idempotency_key)
    USING (principal, idempotency_key)""")
STORE = text("""
    INSERT INTO command (principal, idempotency_key, fingerprint, status, body, at)
    SELECT principal, key, fingerprint, status, CAST(body AS jsonb), :now
    FROM unnest(CAST(:principals AS text[]), CAST(:keys AS text[]), CAST(:fingerprints AS bytea[]),
        CAST(:statuses AS int[]), CAST(:bodies AS text[])) AS w(principal, key, fingerprint, status, body)
    ORDER BY principal, key ON CONFLICT DO NOTHING""")

TRIES = 4


@dataclass(frozen=True)
class Answer:
    """What a command answers: HTTP status and a JSON-able body."""

    status: int
    body: dict[str, Any]


class Refused(Exception):
    """A command cannot be done; nothing was changed. Becomes problem+json (RFC 9457).

    Args: `status` HTTP status; `title` short and fixed; `detail` this case; `extra` members such as `errors`.
    """

    def __init__(self, status: int, title: str, detail: str = "", **extra: Any) -> None:
        super().__init__(detail or title)
        self.status, self.title, self.detail, self.extra = status, title, detail, extra


@dataclass(eq=False)
class Command:
    """One waiting request."""

    handler: Handler
    args: Any
    key: str  # of the stream to lock; "": none
    principal: str
    idempotency_key: str
    fingerprint: bytes  # SHA-256 of method, path and body
    traceparent: str
    further: tuple[str, ...] = ()  # streams to lock beside `key`
    answer: "asyncio.Future[Answer | Refused]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def keys(self) -> list[str]:
        """The streams to lock."""
        return [key for key in (self.key, *self.further) if key]


class _Raced(Exception):
    """Another replica stored an answer under one of our keys meanwhile: roll back and replay it."""


class Flusher:
    """Takes commands of one process, a transaction after the other."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self._waiting: list[Command] = []
        self._under_way: set[tuple[str, str]] = set()
        self._task: asyncio.Task[None] | None = None

    async def do(self, command: Command) -> Answer:
        """Wait for the command's commit and give its answer.

        Raises: Refused (also 409 while this very process runs the same key, 422 for another payload under it,
        503 where the outcome is not known: repeat under the same key).
        """
        name = command.principal, command.idempotency_key
        if name in self._under_way:
            raise Refused(409, "Request in progress", "a request with this Idempotency-Key is still running")
        self._under_way.add(name)
        command.answer.add_done_callback(lambda _: self._under_way.discard(name))
        self._waiting.append(command)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush())
        answer = await asyncio.shield(command.answer)
        if isinstance(answer, Refused):
            raise answer
        return answer

    async def drain(self) -> None:
        """Wait until nothing is waiting; for a graceful stop."""
        while self._task and not self._task.done():
            await asyncio.wait({self._task})

    async def _flush(self) -> None:
        while self._waiting:
            size = self.running.settings.batch_size
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
            await self._settle(batch, 1)

    async def _settle(self, batch: Sequence[Command], attempt: int) -> None:
        """Answer every command of the batch: together, or in halves where one of them cannot be done."""
        try:
            answers = await self._transact(batch)
        except Exception as error:
            if isinstance(error, _Raced | db.Fenced) or not (isinstance(error, Refused) or db.is_poison(error)):
                await self._again(batch, attempt, error)
            elif len(batch) > 1:
                middle = len(batch) // 2
                await self._settle(batch[:middle], attempt)
                await self._settle(batch[middle:], attempt)
            elif isinstance(error, Refused):
                batch[0].answer.set_result(error)
            else:
                log.error("command_failed", handler=batch[0].handler.__name__, error=db.describe(error))
                batch[0].answer.set_result(Refused(500, "Internal error", "this request cannot be handled"))
            return
        for command, answer in zip(batch, answers, strict=True):
            command.answer.set_result(answer)

    async def _again(self, batch: Sequence[Command], attempt: int, error: Exception) -> None:
        telemetry.RETRIES.labels("command").inc()
        if attempt < TRIES:
            await asyncio.sleep(0.05 * 4 ** (attempt - 1))
            await self._settle(batch, attempt + 1)
            return
        log.error("commands_unavailable", count=len(batch), error=db.describe(error))
        for command in batch:
            command.answer.set_result(
                Refused(503, "Temporarily unavailable", "outcome unknown: repeat under the same Idempotency-Key")
            )

    async def _transact(self, batch: Sequence[Command]) -> list[Answer | Refused]:
        telemetry.BATCH_SIZE.labels("commands").observe(len(batch))
        names = {"principals": [c.principal for c in batch], "keys": [c.idempotency_key for c in batch]}
        answers: dict[Command, Answer | Refused] = {}
        async with self.running.transaction(key for command in batch for key in command.keys) as tx:
            stored = {(row.principal, row.idempotency_key): row for row in await tx.rows(STORED, **names)}
            fresh = []
            for command in batch:
                row = stored.get((command.principal, command.idempotency_key))
                if row is None:
                    fresh.append(command)
                elif row.fingerprint == command.fingerprint:
                    answers[command] = Answer(row.status, row.body)
                else:
                    answers[command] = Refused(
                        422, "Idempotency-Key reused", "this Idempotency-Key was used with another request"
                    )
            answers.update(await self._run(fresh, tx))
            done = [(command, answers[command]) for command in fresh]
            kept = [(command, answer) for command, answer in done if isinstance(answer, Answer)]
            if kept:
                count = await tx.run(
                    STORE,
                    principals=[command.principal for command, _ in kept],
                    keys=[command.idempotency_key for command, _ in kept],
                    fingerprints=[command.fingerprint for command, _ in kept],
                    statuses=[answer.status for _, answer in kept],
                    bodies=[json_bytes(answer.body).decode() for _, answer in kept],
                    now=tx.now,
                )
                if count != len(kept):
                    raise _Raced
        return [answers[command] for command in batch]

    async def _run(self, commands: Sequence[Command], tx: Transaction) -> dict[Command, Answer | Refused]:
        """Call the handlers: a key's k-th command in round k or later, by handler inside a round."""
        answers: dict[Command, Answer | Refused] = {}
        rounds: list[dict[Handler, list[Command]]] = []
        seen: dict[str, int] = defaultdict(int)  # key → the round its next command runs in, at the earliest
        for command in commands:
            place = max((seen[key] for key in command.keys), default=0)
            seen.update(dict.fromkeys(command.keys, place + 1))
            if place == len(rounds):
                rounds.append(defaultdict(list))
            rounds[place][command.handler].append(command)
        for groups in rounds:
            for handler, group in groups.items():
                parents = {command.key: tx.traces.get(command.key, command.traceparent) for command in group}
                with telemetry.spans(f"{self.running.service.name} {handler.__name__}", parents) as causes:
                    tx.causes.update(causes)
                    if takes_many(handler):
                        results = await handler([command.args for command in group], tx)
                        answers.update(zip(group, results, strict=True))
                    else:
                        for command in group:
                            answers[command] = await handler(command.args, tx)
        return answers
