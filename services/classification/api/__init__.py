"""HTTP of classification."""

from fastapi import APIRouter

from services.classification.api import classification, draft, hot_event, matrix, model, review, suggestion

router = APIRouter()
for part in (classification, review, hot_event, matrix, draft, suggestion, model):
    router.include_router(part.router)
