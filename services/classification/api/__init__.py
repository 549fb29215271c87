"""HTTP of classification."""

from fastapi import APIRouter

from services.classification.api import classification, draft, matrix, model, review, suggestion

router = APIRouter()
for part in (classification, review, matrix, draft, suggestion, model):
    router.include_router(part.router)
