"""Every query of classification: matrix versions and models, tickets and their classification, reviews."""

from services.classification.store import registry, review, shadow, ticket

__all__ = ["registry", "review", "shadow", "ticket"]
