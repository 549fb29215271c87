"""What administrators do with endpoints and deliveries."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.command.ground import refusing
from services.dispatch.domain.endpoint import Webhook
from services.dispatch.domain.order import Illegal

TEST_FOR = timedelta(minutes=1)  # how long a test event is tried


@dataclass(frozen=True, slots=True)
class Test:
    """A test event."""

    department: str
    by: str


@dataclass(frozen=True, slots=True)
class Replay:
    """One delivery again."""

    delivery_id: UUID
    by: str


@refusing
async def test(args: Test, tx: Transaction) -> Answer:
    """Put a test event on its way."""
    endpoint = await store.endpoint.find(tx, args.department)
    if endpoint is None:
        raise Refused(404, "Not found", "this department has no endpoint")
    if endpoint.state != "active":
        raise Illegal(endpoint.state, "test", ("put",), "the endpoint is disabled: nothing is sent to it")
    data = {"department": args.department, "message": "接入测试 / test of the connection", "sent_by": args.by}
    [delivery_id] = await store.delivery.add(tx, [Webhook(args.department, "test", data)], TEST_FOR)
    return Answer(202, {"delivery_id": delivery_id})


@refusing
async def replay(args: Replay, tx: Transaction) -> Answer:
    """Send a delivery again under its webhook-id; one that is on its way stays as it is."""
    found = await store.replay.find(tx, args.delivery_id)
    if found is None:
        raise Refused(404, "Not found", "there is no such delivery")
    endpoint = await store.endpoint.find(tx, found.department)
    if endpoint is None or endpoint.state != "active":
        state = endpoint.state if endpoint else "deleted"
        raise Illegal(state, "replay", ("put",), "the department has no active endpoint")
    if found.state not in ("pending", "waiting"):
        await store.replay.again(tx, [(args.delivery_id, found.ticket_id)])
    return Answer(202, {"delivery_id": args.delivery_id})
