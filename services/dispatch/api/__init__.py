"""Dispatch over HTTP: departments work, agents ask and close, administrators keep endpoints and deliveries."""

from fastapi import APIRouter

from services.dispatch.api import agent, delivery, department, endpoint

router = APIRouter()
for part in (department, agent, endpoint, delivery):
    router.include_router(part.router)
