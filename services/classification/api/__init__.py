"""HTTP of classification."""

from fastapi import APIRouter

from services.classification.api import (
    classification,
    cumulative,
    draft,
    forecast,
    hot_event,
    matrix,
    model,
    review,
    settled,
    suggestion,
)

router = APIRouter()
for part in (classification, review, hot_event, cumulative, settled, forecast, matrix, draft, suggestion, model):
    router.include_router(part.router)
