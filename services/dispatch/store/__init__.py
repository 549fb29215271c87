"""Every query of dispatch: tickets and work orders, conversation, returns, endpoints, deliveries."""

from services.dispatch.store import court, delivery, endpoint, held, order, question, replay, ticket

__all__ = ["court", "delivery", "endpoint", "held", "order", "question", "replay", "ticket"]
