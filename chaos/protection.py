"""The kernel's protections, and how each is switched off in this process: so that the oracle can be seen to notice.

Nothing of this is reachable from a service: the launcher calls it before the service starts.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from sqlalchemy import text

# As in `libs.shared.bus`, but nothing counts as claimed before.
CLAIM_ALL = text("""
    WITH want AS (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[])) AS w(id, key)),
    shut AS (SELECT key FROM parked_key WHERE key = ANY(CAST(:watched AS text[]))),
    claimed AS (
        INSERT INTO inbox (id) SELECT DISTINCT id FROM want WHERE key NOT IN (SELECT key FROM shut) ORDER BY id
        ON CONFLICT DO NOTHING)
    SELECT CAST(NULL AS uuid) AS id, key FROM shut""")

# Moves the position wherever it stands.
FENCE_ANY = text("""
    UPDATE fence f SET next_offset = w.stop
    FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:starts AS bigint[]),
        CAST(:stops AS bigint[])) AS w(topic, partition, start, stop)
    WHERE f.topic = w.topic AND f.partition = w.partition""")


@dataclass(frozen=True, slots=True)
class Protection:
    """One protection. `without` says what a service does when it is off."""

    without: str
    switch_off: Callable[[], None]


def _inbox() -> None:
    _replace("libs.shared.bus", CLAIM=CLAIM_ALL)


def _fence() -> None:
    _replace("libs.shared.bus", FENCE=FENCE_ANY)


def _outbox_in_transaction() -> None:
    db = import_module("libs.shared.db")
    flush = db.Transaction.flush

    async def later(tx: Any) -> None:
        """Publish in a transaction of its own, once the effects are committed."""
        said, tx.said = tx.said, []
        await flush(tx)
        tx.chaos_said = said

    committed = db.committed

    def then(tx: Any) -> None:
        committed(tx)
        if said := getattr(tx, "chaos_said", None):
            _background(_publish(tx.running, said, {**tx.traces, **tx.causes}))

    async def _publish(running: Any, said: Sequence[Any], causes: dict[str, str]) -> None:
        async with running.engine.connect() as connection:
            async with connection.begin():
                tx = await db.begun(running, connection, {event.key for event in said})
                tx.causes.update(causes)
                tx.said.extend(said)
                await flush(tx)
            committed(tx)

    db.Transaction.flush = later
    _replace("libs.shared.db", committed=then)


def _offset_after_commit() -> None:
    bus = import_module("libs.shared.bus")
    move, transact = bus.move, bus.Bus._transact

    async def moved(*_: Any) -> None:
        pass

    async def first_the_position(
        self: Any, records: Sequence[Any], positions: dict[Any, int], reason: str | None = None
    ) -> None:
        async with self.running.engine.begin() as connection:
            await move(connection, *self.way(records, positions))
        await transact(self, records, positions, reason)
        self.fences = {}

    _replace("libs.shared.bus", move=moved)
    bus.Bus._transact = first_the_position


def _timer_generation() -> None:
    timer = import_module("services.sla_timer.store.timer")
    guarded = str(timer.FIRE.text)
    loose = guarded.replace("AND c.generation = g.set_at AND c.state = 'running'", "")
    if loose == guarded:
        raise LookupError("the timers' statement has changed: it no longer compares generations as known here")
    _replace("services.sla_timer.store.timer", FIRE=text(loose))


def _attempt_record() -> None:
    async def nothing(*_: Any) -> None:
        """What became of the attempts is forgotten."""

    _replace("services.dispatch.delivery.record", results=nothing)


def _replace(module: str, **parts: Any) -> None:
    """Put other parts in the place of a module's own. Raises AttributeError where it has none of that name."""
    found = import_module(module)
    for name, part in parts.items():
        getattr(found, name)
        setattr(found, name, part)


def _background(work: Any) -> None:
    task = asyncio.ensure_future(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)


_under_way: Final[set[Any]] = set()

PROTECTIONS: Final[dict[str, Protection]] = {
    "inbox": Protection("handles a redelivered event again", _inbox),
    "fence": Protection("writes though another process has taken its partitions", _fence),
    "outbox-in-transaction": Protection("publishes after the commit", _outbox_in_transaction),
    "offset-after-commit": Protection("moves its position before the effects are committed", _offset_after_commit),
    "timer-generation": Protection("fires timers of clocks that have stopped or changed", _timer_generation),
    "attempt-record": Protection("forgets what became of its webhooks", _attempt_record),
}
