"""HTTP of classification."""

from fastapi import APIRouter

from services.classification.api import classification, model, review

router = APIRouter()
router.include_router(classification.router)
router.include_router(review.router)
router.include_router(model.router)
