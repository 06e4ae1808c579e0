"""Copy finished cells into MLflow during a run, and continue without MLflow if it cannot be reached."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from zslbench.cells.cell import Cell, Result, State
from zslbench.cells.store import Record
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError
from zslbench.run.queue import CellQueue
from zslbench.tracking.complete import is_complete
from zslbench.tracking.tracker import Tracker, experiment_addresses


class WhileReachable:
    """A tracker that is used until MLflow fails; the failure is printed once.

    Parameters
    ----------
    connect
        Makes the tracker.
    remains
        The sentence that says where the results stay, and how to copy them.
    """

    def __init__(self, connect: Callable[[], Any], remains: str) -> None:
        self._remains = remains
        self.tracker: Any = None
        self.tracker = self._guarded(connect)

    def do(self, action: Callable[[Any], Any]) -> Any:
        """Return what the action does with the tracker, or ``None`` if MLflow fails or has failed."""
        return None if self.tracker is None else self._guarded(lambda: action(self.tracker))

    def _guarded(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except ZslbenchError as error:
            self.tracker = None
            echo(f"MLflow cannot be reached ({error}) {self._remains}", err=True)
            return None


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
    target = f" --tracking-uri {uri}" if uri else ""
    mlflow = WhileReachable(
        lambda: Tracker(store, uri),
        f"Results stay in {store.root}; to copy them later: zslbench track sync --results {store.root}{target}",
    )
    if mlflow.tracker and mlflow.tracker.set_aside:
        echo(f"note: {mlflow.tracker.set_aside}", err=True)

    def project(cell: Cell, result: Result) -> None:
        kept = result.state is not State.DONE and store.state(cell.id) is State.DONE  # a failed rerun is no result
        if not kept:
            mlflow.do(lambda tracker: tracker.project(Record(cell, result)))

    try:
        yield project
        if late := mlflow.do(lambda tracker: tracker.project_missing(cells)):
            echo(f"{late} cells of earlier or other runs were copied into MLflow.", err=True)
    finally:
        mlflow.do(lambda tracker: tracker.finish())
        mlflow.do(lambda tracker: tell_addresses(uri))


def tell_addresses(uri: str | None) -> None:
    """Print the addresses of a server's experiments that open on their rows; MLflow's own links open other pages."""
    if uri and uri.startswith(("http://", "https://")):
        for name, address in experiment_addresses(uri, uri).items():
            echo(f"{name}: {address}", err=True)
