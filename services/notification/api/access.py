"""Whose inbox a key opens."""

from collections.abc import Sequence
from typing import Annotated

from libs.shared.web import Caller, Refused, caller
from services.notification.domain import cursor
from services.notification.domain.notice import REVIEWERS, Recipient

Reader = Annotated[Caller, caller("agent", "department", "supervise", "review", "publish")]


def own(who: Caller) -> list[Recipient]:
    """The inboxes of the caller itself: by principal and scope, and the one that all reviewers share."""
    inboxes = {
        "agent": Recipient("agent", who.principal),
        "department": Recipient("department", who.principal),
        "supervise": Recipient("supervisor", who.principal),
        "review": Recipient("supervisor", REVIEWERS),
    }
    return [recipient for scope, recipient in inboxes.items() if scope in who.scopes]


def chosen(who: Caller, names: Sequence[str], field: str) -> list[Recipient]:
    """The inboxes that are asked for, or the caller's first own one when none is named.

    A platform (scope `publish`) reads for any agent, an administrator for anybody. Raises Refused 403, 422.
    """
    mine = own(who)
    if not names:
        if not mine:
            raise bad(field, "is needed: this key has no inbox of its own")
        return mine[:1]
    recipients = []
    for name in names:
        try:
            recipients.append(cursor.recipient(name))
        except ValueError as error:
            raise bad(field, str(error)) from None
    for recipient in recipients:
        if not ("admin" in who.scopes or recipient in mine or ("publish" in who.scopes and recipient.kind == "agent")):
            raise Refused(403, "Forbidden", f"this key may not read the inbox of {recipient.address}")
    return list(dict.fromkeys(recipients))


def bad(field: str, reason: str) -> Refused:
    """422 for one field."""
    return Refused(422, "Bad request", f"{field}: {reason}", errors=[{"field": field, "reason": reason}])
