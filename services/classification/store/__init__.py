"""Every query of classification: matrix versions, drafts and models, tickets and their classification, reviews."""

from services.classification.store import draft, registry, review, shadow, suggestion, ticket

__all__ = ["draft", "registry", "review", "shadow", "suggestion", "ticket"]
