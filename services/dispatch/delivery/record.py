"""What became of deliveries, written down in batches: results of attempts, and what must be given up."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.shared.contracts.dispatch import WorkOrderDelivered
from libs.shared.db import Transaction
from libs.shared.service import Running
from services.dispatch import store
from services.dispatch.delivery import metric
from services.dispatch.delivery.breaker import Breaker
from services.dispatch.domain.endpoint import Attempt
from services.dispatch.store.endpoint import Report


@dataclass(frozen=True, slots=True)
class Result:
    """One attempt, and the endpoint's breaker after it. `version` is the endpoint's."""

    attempt: Attempt
    version: int
    breaker: Breaker


async def results(running: Running, batch: Sequence[Result]) -> None:
    """One transaction for many results; says WorkOrderDelivered for each work order that arrived for the first time."""
    attempts = [result.attempt for result in batch]
    tickets = {str(a.delivery.ticket_id): a.delivery.traceparent for a in attempts if a.delivery.ticket_id}
    async with running.transaction(tickets) as tx:
        tx.causes.update(tickets)
        arrived, late = await store.delivery.record(tx, attempts)
        for row in arrived:
            tx.publish(
                WorkOrderDelivered(
                    ticket_id=row.ticket_id,
                    work_order_id=row.work_order_id,
                    department=row.department,
                    delivery_id=row.delivery_id,
                    attempts=row.attempts,
                )
            )
        await _give_up(tx, late)
        await store.endpoint.report(tx, reports(batch))
    for row in arrived:
        metric.AGE_SECONDS.observe((tx.now - row.created_at).total_seconds())
    if any(attempt.gone for attempt in attempts):
        running.wake("endpoints")
        running.wake("sweep")


async def overdue(running: Running) -> int:
    """Leave to the inbox what was not sent in time or has no active endpoint any more; gives how many were seen."""
    rows = await store.delivery.overdue(running)
    if rows:
        async with running.transaction({str(row.ticket_id) for row in rows if row.ticket_id}) as tx:
            await _give_up(tx, rows)
    return len(rows)


async def _give_up(tx: Transaction, rows: Sequence[Row[Any]]) -> None:
    """Rows with delivery_id, ticket_id, department and reason; test events have no ticket and no inbox."""
    pairs: dict[str, list[tuple[UUID, str]]] = defaultdict(list)
    tests: dict[str, list[UUID]] = defaultdict(list)
    for row in rows:
        if row.ticket_id:
            pairs[row.reason].append((row.ticket_id, row.department))
        else:
            tests[row.reason].append(row.delivery_id)
    for reason, given_up in pairs.items():
        await store.delivery.divert(tx, given_up, reason)
    for reason, ids in tests.items():
        await store.delivery.settle_tests(tx, ids, reason)


def reports(batch: Sequence[Result]) -> list[Report]:
    """What a batch says about each endpoint, the last breaker counting; in the order of departments."""
    grouped: dict[tuple[str, int], list[Result]] = defaultdict(list)
    for result in batch:
        grouped[result.attempt.delivery.department, result.version].append(result)
    found = []
    for (department, version), results_ in sorted(grouped.items()):
        attempts = [result.attempt for result in results_]
        good = [attempt for attempt in attempts if attempt.ok]
        bad = [attempt for attempt in attempts if not attempt.ok]
        found.append(
            Report(
                department=department,
                version=version,
                good=len(good),
                bad=len(bad),
                success_at=good[-1].at if good else None,
                failure_at=bad[-1].at if bad else None,
                error=bad[-1].error if bad else None,
                breaker=results_[-1].breaker,
                gone=any(attempt.gone for attempt in attempts),
            )
        )
    return found
