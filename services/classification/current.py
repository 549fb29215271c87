"""The matrix and model in force, held in this process's memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from libs.shared.contracts.intake import Ticket
from libs.shared.db import Poison
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.classification import registry, store
from services.classification.domain import hot_event, place, repeat, sketch
from services.classification.domain.classifier import Classifier, LabelError, Verdict
from services.classification.domain.hot_event import Cell, Event
from services.classification.domain.linear import Model
from services.classification.domain.matrix import Matrix
from services.classification.domain.repeat import Mark
from services.classification.domain.rule import HotEventRule
from services.classification.domain.sketch import Sketch
from services.classification.domain.text import Reading
from services.classification.settings import ClassificationSettings
from services.classification.store.registry import Kind

LOOK_SECONDS = 1.0  # between two looks at the open hot events
SLICE = 0.01  # s of reading, a hundred tickets or so, before the event loop does other work


class NotLoaded(OSError):
    """What is in force cannot be loaded: for the kernel a passing fault, so tickets wait and none is buried."""


class Slices:
    """Long work on the event loop, which does other work in between."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def rest(self) -> None:
        """Let others work where this has for SLICE."""
        if time.perf_counter() - self._began > SLICE:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


@dataclass(frozen=True, slots=True)
class InForce:
    """What tickets are classified with from now on."""

    classifier: Classifier
    model_version: str | None  # None: the matrix alone
    shadow: Classifier | None = None  # reads every ticket too, and decides nothing
    shadow_version: str | None = None

    @property
    def matrix(self) -> Matrix:
        """The matrix version in force."""
        return self.classifier.matrix


@dataclass(frozen=True, slots=True)
class Prediction:
    """A verdict, what gave it, and what other tickets are compared with."""

    verdict: Verdict
    matrix: Matrix
    model_version: str | None
    mark: Mark
    cell: Cell | None
    said: str | None = None  # who said so: the principal who split the ticket that it is a part of, or "hot_event"
    hot: tuple[UUID, float] | None = None  # the open hot event that it belongs to, and how like it is
    shadow: tuple[str, Verdict] | None = None  # the model in the shadow, and its verdict

    @property
    def by(self) -> str:
        """Who decided: model, matrix, or who said so."""
        return self.said or ("model" if self.model_version else "matrix")

    @property
    def parts(self) -> tuple[Verdict, Matrix, str | None]:
        """The verdict and what gave it."""
        return self.verdict, self.matrix, self.model_version

    def named(self, verdict: Verdict, matrix: Matrix, by: str) -> "Prediction":
        """The same ticket by somebody's word instead."""
        return replace(self, verdict=verdict, matrix=matrix, model_version=None, said=by)

    def apart(self) -> "Prediction":
        """The same, compared with no other ticket: one that Zhida made itself."""
        return replace(self, mark=Mark((), self.mark.sketch), cell=None, shadow=None, hot=None)


class Current:
    """Follows what is in force; the first use loads it."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._seen: dict[Kind, str | None] = {}
        self._in_force: InForce | None = None
        self._past: dict[str, Matrix] = {}
        self._hot: dict[str, list[Event]] = {}  # hot events by their places, LOOK_SECONDS old
        self._loading = asyncio.Lock()

    async def in_force(self) -> InForce:
        """What is in force, as of at most `refresh_seconds` ago. Raises NotLoaded."""
        return self._in_force or await self.refresh()

    async def refresh(self) -> InForce:
        """Look what is in force and load it where that has changed; keeps what it has where that raises NotLoaded."""
        async with self._loading:
            settings = self._running.settings
            assert isinstance(settings, ClassificationSettings)
            seen = await store.registry.in_force(self._running)
            try:
                if "matrix" not in seen:
                    await registry.begin(self._running, settings.matrix_pack)
                    seen = await store.registry.in_force(self._running)
                if self._in_force is None or seen != self._seen:
                    self._in_force = await self._load(seen["matrix"] or "", seen.get("model"), seen.get("shadow"))
                    self._seen = seen
                await registry.say(self._running)
            except Poison as error:
                raise NotLoaded(str(error)) from None
            return self._in_force

    async def _load(self, matrix_version: str, model_version: str | None, shadow_version: str | None) -> InForce:
        matrix = await registry.matrix_of(self._running, matrix_version)
        model = await registry.model_of(self._running, model_version) if model_version else None
        classifier = await asyncio.to_thread(classifier_of, matrix, model, model_version)
        model_version = model_version if classifier.model else None
        shadow = await self._shadow(matrix, shadow_version) if shadow_version else None
        shadow_version = shadow_version if shadow else None
        log.info("in_force", matrix=matrix.version, model=model_version, shadow=shadow_version)
        return InForce(classifier, model_version, shadow, shadow_version)

    async def _shadow(self, matrix: Matrix, version: str) -> Classifier | None:
        """The classifier in the shadow; None where it cannot be used, which must keep no ticket waiting."""
        try:
            return await asyncio.to_thread(Classifier, matrix, await registry.model_of(self._running, version))
        except (LabelError, Poison) as error:
            log.warning("shadow_unfit", model=version, matrix=matrix.version, reason=str(error))
            return None

    async def look(self) -> None:
        """See which hot events are open, and what their members say; nothing while no matrix is loaded."""
        if self._in_force is None:
            return
        calm = timedelta(minutes=self._in_force.matrix.rules.hot_event.calm_minutes)
        found: dict[str, list[Event]] = {}
        for event in await store.hot_event.near(self._running, None, self._running.now() - calm):
            found.setdefault(event.cell.place, []).append(event)
        self._hot = found

    async def matrix(self, version: str) -> Matrix:
        """A matrix version that classified some ticket, in force or not."""
        if self._in_force and self._in_force.matrix.version == version:
            return self._in_force.matrix
        if version not in self._past:
            self._past[version] = await registry.matrix_of(self._running, version)
        return self._past[version]

    async def classify(self, tickets: Sequence[Ticket]) -> list[Prediction]:
        """Read tickets, all with the same matrix and model.

        On the event loop, a slice at a time: another thread would wait for the interpreter's lock longer than it reads.
        """
        now = await self.in_force()
        predictions: list[Prediction] = []
        slices = Slices()
        for ticket in tickets:
            await slices.rest()
            reading = Reading.of(ticket.title, ticket.text)
            verdict, rules = now.classifier.classify(ticket, reading), now.matrix.rules
            located = place.locate(now.matrix, ticket).ticket
            mark = repeat.mark(rules.repeat, located, sketch.of(reading))
            cell = hot_event.cell(rules.hot_event, located, verdict.situation.category)
            shadow = None
            if now.shadow and now.shadow_version:
                shadow = now.shadow_version, now.shadow.classify(ticket, reading)
            hot = self._hottest(rules.hot_event, cell, mark.sketch)
            predictions.append(Prediction(verdict, now.matrix, now.model_version, mark, cell, shadow=shadow, hot=hot))
        return predictions

    def _hottest(self, rule: HotEventRule, cell: Cell | None, said: Sketch) -> tuple[UUID, float] | None:
        """The open event that a ticket belongs to; None too where a person has just closed that."""
        if cell is None or not (events := self._hot.get(cell.place)):
            return None
        found = hot_event.nearest(rule, cell, frozenset(said.tolist()), events)
        return (found[0].hot_event_id, found[1]) if found and found[0].open else None


def classifier_of(matrix: Matrix, model: Model | None, model_version: str | None = None) -> Classifier:
    """With the model, unless that does not fit the matrix: then the matrix alone."""
    try:
        return Classifier(matrix, model)
    except LabelError as error:
        log.warning("model_unfit", model=model_version, matrix=matrix.version, reason=str(error))
        return Classifier(matrix)


def current(running: Running) -> Current:
    """What is in force, of a running service."""
    found: Current = running.resources
    return found


@asynccontextmanager
async def opened(running: Running) -> AsyncIterator[Current]:
    """The process's resources."""
    yield Current(running)


async def follow(running: Running) -> None:
    """Loop: load what is in force, and again when that changes.

    Not ready while nothing is loaded; a new version that cannot be loaded is told once, and the old one goes on.
    """
    settings = running.settings
    assert isinstance(settings, ClassificationSettings)
    told = ""
    running.unready["matrix"] = "not loaded yet"
    while not running.stopping.is_set():
        try:
            await current(running).refresh()
            running.unready.pop("matrix", None)
            told = ""
        except NotLoaded as error:
            if "matrix" in running.unready:
                running.unready["matrix"] = str(error)
            if told != str(error):
                told = str(error)
                log.error("not_loaded", reason=told)
        await running.pause(settings.refresh_seconds)


async def look(running: Running) -> None:
    """Loop: see which hot events are open. Old news does no harm: who joins one finds out whether it still is."""
    while not running.stopping.is_set():
        await current(running).look()
        await running.pause(LOOK_SECONDS)
