"""What a process of notification holds: the templates, and the streams that are open to it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from libs.shared.service import Running
from libs.shared.telemetry import log
from services.notification import view
from services.notification.domain import template
from services.notification.domain.template import LANGUAGES, Language, Templates
from services.notification.settings import NotificationSettings
from services.notification.stream import Hub

FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Resources:
    """Handed down as `running.resources`."""

    templates: Mapping[Language, Templates]
    settings: NotificationSettings
    hub: Hub

    def show(self, row: Any) -> dict[str, Any]:
        """A notice in its reader's language."""
        return view.shown(row, self.templates, self.settings.default_language)


@asynccontextmanager
async def opened(running: Running) -> AsyncIterator[Resources]:
    """Read the templates and serve streams until the process stops. Raises TemplateError."""
    settings = cast(NotificationSettings, running.settings)
    templates = template.read(
        {language: (FOLDER / f"{language}.yaml").read_text(encoding="utf-8") for language in LANGUAGES}
    )
    hub = Hub(running, lambda row: view.shown(row, templates, settings.default_language))
    looking = asyncio.create_task(hub.run())
    looking.add_done_callback(lambda task: _ended(running, task))
    try:
        yield Resources(templates, settings, hub)
    finally:
        running.stopping.set()
        await looking


def _ended(running: Running, task: "asyncio.Task[None]") -> None:
    """Streams that are never served again must not look alive: the process stops and is started anew."""
    if not task.cancelled() and task.exception():
        log.error("stream.broken", exc_info=task.exception())
        running.unready["stream"] = "broken"
        running.stopping.set()
