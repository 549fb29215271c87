"""Every query of classification: matrix versions, drafts and models, tickets and their classification, repeats, hot
events, reviews.
"""

from services.classification.store import (
    cumulative,
    draft,
    forecast,
    hot_event,
    registry,
    repeat,
    review,
    settled,
    shadow,
    suggestion,
    ticket,
)

__all__ = [
    "cumulative",
    "draft",
    "forecast",
    "hot_event",
    "registry",
    "repeat",
    "review",
    "settled",
    "shadow",
    "suggestion",
    "ticket",
]
