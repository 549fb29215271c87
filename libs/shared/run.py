"""One process of a service, from its start to its graceful stop."""

import asyncio
import gc
import importlib
import pkgutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress

import uvicorn
from fastapi import FastAPI

from libs.shared import admin, command, db, keys, telemetry, web
from libs.shared.kafka import Consumer
from libs.shared.relay import Relay
from libs.shared.service import LONGEST_PAUSE, PORTS, Running, Service
from libs.shared.settings import Settings
from libs.shared.telemetry import log

GRACE = 25.0  # s to finish what was begun
# New objects before the collector of cycles looks. Python's own 700 is passed many times within one batch, each time
# over objects that live as long as the batch: a quarter of a busy service's CPU.
COLLECT_AFTER = 50_000


def service_names() -> list[str]:
    """The services that are installed: every folder of `services` with a main module."""
    folders = importlib.import_module("services").__path__
    return sorted(each.name for each in pkgutil.iter_modules(folders) if each.ispkg)


def load(name: str) -> Service:
    """The service of that name."""
    found: Service = importlib.import_module(f"services.{name}.main").service
    return found


def attach(app: FastAPI, running: Running) -> FastAPI:
    """The application with the process behind it."""
    app.state.running = running
    app.state.keys = keys.KeyRing(running)
    app.state.flusher = command.Flusher(running)
    return app


@asynccontextmanager
async def started(service: Service, settings: Settings) -> AsyncIterator[tuple[Running, FastAPI]]:
    """A running service and its application, without Kafka, loops or a port."""

    @asynccontextmanager
    async def nothing(_: FastAPI) -> AsyncIterator[None]:
        yield

    async with Running(service, settings).opened() as running:
        app = attach(web.application(service, [admin.router], nothing), running)
        try:
            yield running, app
        finally:
            running.stopping.set()
            await app.state.flusher.drain()


async def serve(service: Service, settings: Settings) -> None:
    """One process: HTTP, consumer, relay and loops, until SIGTERM or SIGINT.

    The order of stopping: not ready → no new requests, no new records → what was begun commits → the outbox is sent.
    """
    async with AsyncExitStack() as stack:
        running, app = await stack.enter_async_context(started(service, settings))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.stopping.set)
        relay = Relay(running)
        work = [_kept(running, each.__name__, each) for each in service.runs if settings.run_loops]
        if settings.run_consumer and service.topics:
            work.append(Consumer(running).run())
        tasks = [asyncio.create_task(each) for each in work]
        sending = asyncio.create_task(relay.run()) if settings.run_relay else None
        port = settings.http_port or PORTS.get(service.name, 8100)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=port,
                log_level="error",
                access_log=False,
                proxy_headers=False,  # nobody asks for the caller's address
                timeout_graceful_shutdown=10,
                timeout_keep_alive=30,
            )
        )
        server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # the handlers above decide
        serving = asyncio.create_task(server.serve()) if settings.run_http else None
        log.info("started", port=port if serving else None, hears=len(service.hears))
        gc.freeze()  # what was loaded stays for good: nothing to look through again
        gc.set_threshold(COLLECT_AFTER, 20, 20)
        stop = asyncio.create_task(running.stopping.wait())
        watched = {stop, *tasks, *([serving] if serving else []), *([sending] if sending else [])}
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if task is not stop]
        running.stopping.set()
        server.should_exit = True
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await asyncio.gather(*tasks, *([serving] if serving else []), return_exceptions=True)
                await app.state.flusher.drain()
        relay.last.set()
        running.wake("relay")
        if sending:
            with suppress(TimeoutError):
                await asyncio.wait_for(sending, 10)
        log.info("stopped")
        for task in failed:
            if not task.cancelled() and (error := task.exception()):
                raise error
            raise RuntimeError(f"a part of {service.name} ended on its own")


async def _kept(running: Running, name: str, loop: Callable[[Running], Awaitable[None]]) -> None:
    """Run a background loop until the process stops; what it raises is logged, waited out, and it begins again."""
    wait = 0.1
    while not running.stopping.is_set():
        began = time.monotonic()
        try:
            running.unready.pop(name, None)
            await loop(running)
        except Exception as error:
            if time.monotonic() - began > 60:
                wait = 0.1  # it had gone well for a while
            telemetry.RETRIES.labels(name).inc()
            running.unready[name] = type(error).__name__
            log.warning("retrying", part=name, error=db.describe(error))
            await running.pause(wait)
            wait = min(wait * 2, LONGEST_PAUSE)
