"""Dispatch over HTTP: departments work and rule, agents ask and close, administrators keep endpoints."""

from fastapi import APIRouter

from services.dispatch.api import agent, court, delivery, department, endpoint, merge

router = APIRouter()
for part in (department, agent, merge, court, endpoint, delivery):
    router.include_router(part.router)
