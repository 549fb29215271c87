"""Every query of dispatch: tickets and work orders, conversation, returns and reassignments, endpoints, deliveries."""

from services.dispatch.store import cell, court, delivery, endpoint, held, order, question, reassignment, replay, ticket

__all__ = [
    "cell",
    "court",
    "delivery",
    "endpoint",
    "held",
    "order",
    "question",
    "reassignment",
    "replay",
    "ticket",
]
