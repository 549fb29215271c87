"""Facts in, notices out: one write for a whole batch, whatever it holds."""

from typing import cast

from libs.shared.contracts.notification import NotificationSent
from libs.shared.db import Transaction
from libs.shared.keep import timely
from services.notification.domain import notice
from services.notification.domain.notice import Fact, Notice
from services.notification.settings import NotificationSettings
from services.notification.store import inbox


async def tell(events: list[Fact], tx: Transaction) -> None:
    """Gather what these events tell whom; `deliver` writes it once the batch's last event has been seen.

    Two batches that wrote handler by handler would lock their recipients crosswise; one write locks them in order.
    """
    settings = cast(NotificationSettings, tx.running.settings)
    events = await timely(events, tx, inbox.KNOWN, settings.notice_months)
    tx.gather(deliver, [each for event in events for each in notice.notices(event)])


async def deliver(tx: Transaction, notices: list[Notice]) -> None:
    """Put notices into their inboxes and say so; wakes this process's streams and channels after the commit."""
    if not notices:
        return
    told, queued = await inbox.add(tx, notices)
    for each in told:
        tx.publish(
            NotificationSent(
                ticket_id=each.notice.ticket_id,
                notification_id=each.id,
                recipient_kind=each.notice.recipient.kind,
                recipient=each.notice.recipient.id,
                kind=each.notice.kind,
                channel="inbox",
                number=each.number,
                caused_at=each.notice.caused_at,
            )
        )
    tx.after_commit(lambda: tx.running.wake("stream"))
    if queued:
        tx.after_commit(lambda: tx.running.wake("channels"))
