"""HTTP of classification."""

from fastapi import APIRouter

from services.classification.api import (
    classification,
    cumulative,
    draft,
    hot_event,
    matrix,
    model,
    review,
    settled,
    suggestion,
)

router = APIRouter()
for part in (classification, review, hot_event, cumulative, settled, matrix, draft, suggestion, model):
    router.include_router(part.router)
