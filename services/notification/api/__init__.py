"""HTTP: inboxes and event streams for their readers, channels and their deliveries for administrators."""

from fastapi import APIRouter

from services.notification.api import channels, deliveries, inbox, stream

router = APIRouter()
for part in (inbox, stream, channels, deliveries):
    router.include_router(part.router)
