"""The one command: a delivery that has failed is tried again."""

from dataclasses import dataclass
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.db import Transaction
from services.notification.store import channel


@dataclass(frozen=True)
class Retry:
    """Try a failed delivery again."""

    delivery_id: UUID
    ticket_id: UUID


async def again(args: Retry, tx: Transaction) -> Answer:
    """Back into the queue, at its first attempt. Raises Refused 409 when it has not failed."""
    if not await channel.retry(tx, args.delivery_id, args.ticket_id):
        raise Refused(409, "Not failed", "only a delivery that has failed can be tried again")
    tx.after_commit(lambda: tx.running.wake("channels"))
    return Answer(202, {"id": str(args.delivery_id), "state": "pending"})
