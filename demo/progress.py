"""What is seen while the demo runs: moving bars on a terminal, a plain line every few seconds elsewhere."""

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from demo.watch import Standing

EVERY = 5.0  # s between two plain lines


@dataclass
class Show:
    """The live progress. `records` and, among them, `tickets` that are to be published."""

    console: Console
    records: int
    tickets: int
    _bars: dict[str, TaskID] = field(default_factory=dict)
    _progress: Progress | None = None
    _last: float = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description:<24}"),
                BarColumn(bar_width=36),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def update(self, published: int, standing: Standing, screens: int) -> None:
        """Show how far everything is. `screens`: tickets whose answer has come to its agent's screen."""
        if self._progress is None:
            self._line(published, standing, screens)
            return
        self._bar("published", published, self.records)
        self._bar("received", standing.received, self.tickets, f"{standing.refused} refused")
        self._bar("classified", standing.classified, standing.received, f"{standing.in_review} wait for a person")
        self._bar("work orders delivered", standing.delivered, standing.orders)
        self._bar("work orders answered", standing.answered, standing.orders)
        self._bar("on the agents' screens", screens, standing.received)
        self._bar("closed", standing.closed, standing.received)

    def _bar(self, name: str, done: int, total: int, note: str = "") -> None:
        assert self._progress
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=None, note="")
        self._progress.update(self._bars[name], completed=done, total=max(total, done, 1), note=note)

    def _line(self, published: int, standing: Standing, screens: int) -> None:
        if time.monotonic() - self._last < EVERY and not standing.at_rest:
            return
        self._last = time.monotonic()
        self.console.print(
            f"published {published}/{self.records}  received {standing.received}  classified {standing.classified}"
            f" (in review {standing.in_review})  work orders {standing.orders}  delivered {standing.delivered}"
            f"  answered {standing.answered}  on screens {screens}  closed {standing.closed}",
            soft_wrap=True,
            highlight=False,
        )
