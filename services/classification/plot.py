"""Plots of an evaluation: accuracy against coverage, calibration, and which labels are taken for which."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from services.classification.domain.score import Report

SIZE = (6.0, 4.5)  # inches
MOST = 30  # labels in the table of confusion


def draw(report: Report, folder: Path) -> Iterator[Path]:
    """Write each plot as PNG into the folder, and give its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("coverage", _coverage(report)),
        ("calibration", _calibration(report)),
        ("confusion", _confusion(report)),
    ):
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=120)
        yield path


def _coverage(report: Report) -> Figure:
    figure = Figure(SIZE, layout="constrained")
    axes = figure.subplots()
    axes.plot([share for share, _, _ in report.coverage], [right for _, right, _ in report.coverage], marker="o")
    axes.set(xlabel="share of the tickets it is surest of", ylabel="accuracy there", title=f"{report.rows} tickets")
    axes.grid(visible=True)
    return figure


def _calibration(report: Report) -> Figure:
    figure = Figure(SIZE, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    says, rights, rows = zip(*report.calibration, strict=True)
    axes.scatter(says, rights, s=[20 + 400 * count / report.rows for count in rows])
    axes.set(
        xlabel="probability it says",
        ylabel="share that is right",
        title=f"calibration error {report.calibration_error:.3f}",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    axes.grid(visible=True)
    return figure


def _confusion(report: Report) -> Figure:
    """True labels by rows, those said by columns: by number, because fonts for every script are rarely there."""
    labels = [each.label for each in sorted(report.labels, key=lambda each: -each.rows)][:MOST]
    place = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    for each in report.labels:
        if each.label in place:
            table[place[each.label], place[each.label]] = round(each.recall * each.rows)
    for true, said, rows in report.confusion:
        if true in place and said in place:
            table[place[true], place[said]] = rows
    figure = Figure((SIZE[0], SIZE[0]), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= 12:
        for row, column in np.ndindex(table.shape):
            axes.text(column, row, f"{table[row, column]:.0f}", ha="center", va="center", fontsize=8)
    axes.set(xlabel="label said", ylabel="true label", title="labels by number of tickets, the most first")
    axes.set_xticks(range(len(labels)), [str(number) for number in range(1, len(labels) + 1)])
    axes.set_yticks(range(len(labels)), [str(number) for number in range(1, len(labels) + 1)])
    return figure
