"""Every query of dispatch: tickets, masters and work orders, conversation, returns, endpoints, deliveries."""

from services.dispatch.store import (
    cell,
    court,
    delivery,
    endpoint,
    held,
    member,
    order,
    question,
    reassignment,
    replay,
    ticket,
)

__all__ = [
    "cell",
    "court",
    "delivery",
    "endpoint",
    "held",
    "member",
    "order",
    "question",
    "reassignment",
    "replay",
    "ticket",
]
