"""Intake's process, as it is or with another way of committing put into its modules: `together`, `alone`, `without`."""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import uvloop
from fastapi import FastAPI

from deploy.local.leash import leash
from libs.shared import command, run, settings, telemetry
from libs.shared.command import Answer, Command, Flusher, Refused
from libs.shared.events import uuid7
from libs.shared.keys import Caller
from libs.shared.service import Running
from services.intake.main import service


class Alone(Flusher):
    """A transaction for each request, as many side by side as the pool has connections."""

    async def do(self, command: Command) -> Answer:
        """Commit this one, by itself."""
        await asyncio.shield(self._settle([command], 1))
        answer = command.answer.result()
        if isinstance(answer, Refused):
            raise answer
        return answer


class Without:
    """Answers at once; nothing is kept."""

    async def do(self, _: Command) -> Answer:
        """The answer intake would give."""
        return Answer(202, {"ticket_id": str(uuid7(datetime.now(UTC))), "created": True})

    async def drain(self) -> None:
        """Nothing waits."""

    async def check(self, key: str) -> Caller:
        """Every key is good."""
        return Caller("platform", frozenset({"publish"}), key)


def without(app: FastAPI, running: Running) -> FastAPI:
    """The application with no database behind it."""
    app.state.running = running
    app.state.keys = app.state.flusher = Without()
    return app


def main(way: str) -> None:
    """Run it until SIGTERM."""
    found: Any = settings.read(service.settings)
    telemetry.start(found, service.name)
    served = service
    match way:
        case "alone":
            command.Flusher = Alone  # type: ignore[misc]
        case "without":
            run.attach = without
            served = replace(service, opens=None)
            found = found.model_copy(update={"run_consumer": False, "run_relay": False, "run_loops": False})
    uvloop.run(run.serve(served, found))


if __name__ == "__main__":
    leash()
    main(sys.argv[1])
