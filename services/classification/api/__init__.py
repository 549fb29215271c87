"""HTTP of classification."""

from fastapi import APIRouter

from services.classification.api import classification, draft, matrix, review

router = APIRouter()
for part in (classification, review, matrix, draft):
    router.include_router(part.router)
