"""Every query of classification: matrix versions and models, tickets and their classification, repeats, hot events,
reviews.
"""

from services.classification.store import hot_event, registry, repeat, review, ticket

__all__ = ["hot_event", "registry", "repeat", "review", "ticket"]
