"""Copy finished cells into MLflow during a run, and continue without MLflow if it cannot be reached."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from zslbench.cells.cell import Cell, Result, State
from zslbench.cells.store import Record
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError
from zslbench.run.queue import CellQueue
from zslbench.tracking.complete import is_complete
from zslbench.tracking.tracker import Tracker, experiment_addresses


@contextlib.contextmanager
def projection(
    cells: list[Cell], queue: CellQueue, uri: str | None, *, wanted: bool
) -> Iterator[Callable[[Cell, Result], None]]:
    """Yield a function that copies one finished cell into MLflow; at the end, copy what MLflow lacks of ``cells``.

    A failure of MLflow is printed once, and the run continues without it.
    """
    store = queue.store
    if not wanted or (not queue and is_complete(store, cells, uri)):
        yield lambda cell, result: None
        return
    tracker: Any = None

    def guarded(action: Callable[[], Any]) -> Any:
        nonlocal tracker
        try:
            return action()
        except ZslbenchError as error:
            tracker = None
            target = f" --tracking-uri {uri}" if uri else ""
            echo(
                f"MLflow cannot be reached ({error}) Results stay in {store.root}; to copy them later: zslbench "
                f"track sync --results {store.root}{target}",
                err=True,
            )
            return None

    tracker = guarded(lambda: Tracker(store, uri))
    if tracker and tracker.set_aside:
        echo(f"note: {tracker.set_aside}", err=True)

    def project(cell: Cell, result: Result) -> None:
        kept = result.state is not State.DONE and store.state(cell.id) is State.DONE  # a failed rerun is no result
        if tracker and not kept:
            guarded(partial(tracker.project, Record(cell, result)))

    try:
        yield project
        if tracker and (late := guarded(lambda: tracker.project_missing(cells))):
            echo(f"{late} cells of earlier or other runs were copied into MLflow.", err=True)
    finally:
        if tracker:
            guarded(tracker.finish)
        if tracker:
            guarded(lambda: tell_addresses(uri))


def tell_addresses(uri: str | None) -> None:
    """Print the addresses of a server's experiments that open on their rows; MLflow's own links open other pages."""
    if uri and uri.startswith(("http://", "https://")):
        for name, address in experiment_addresses(uri, uri).items():
            echo(f"{name}: {address}", err=True)
