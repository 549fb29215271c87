"""Every query of classification: matrix versions, drafts and models, tickets and their classification, repeats, hot
events, reviews.
"""

from services.classification.store import draft, hot_event, registry, repeat, review, shadow, suggestion, ticket

__all__ = ["draft", "hot_event", "registry", "repeat", "review", "shadow", "suggestion", "ticket"]
