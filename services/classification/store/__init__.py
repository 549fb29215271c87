"""Every query of classification: matrix versions and models, tickets and their classification, reviews."""

from services.classification.store import registry, review, ticket

__all__ = ["registry", "review", "ticket"]
