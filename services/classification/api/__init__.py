"""HTTP of classification."""

from fastapi import APIRouter

from services.classification.api import classification, hot_event, review

router = APIRouter()
router.include_router(classification.router)
router.include_router(review.router)
router.include_router(hot_event.router)
