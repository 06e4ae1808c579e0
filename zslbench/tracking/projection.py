"""Copy finished cells into MLflow during a run, and continue without MLflow if it cannot be reached."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from zslbench.cells.cell import Cell, Result, State
from zslbench.cells.store import Record
from zslbench.errors import ZslbenchError
from zslbench.run.queue import CellQueue
from zslbench.tables.progress import tell
from zslbench.tracking.complete import is_complete
from zslbench.tracking.tracker import Tracker
from zslbench.tracking.view import experiment_addresses


class WhileReachable:
    """A tracker that is used until MLflow fails; the failure is printed once.

    Parameters
    ----------
    connect
        Makes the tracker.
    remains
        The sentence that says where the results stay, and how to copy them.
    say
        Prints a line.

    Examples
    --------
    >>> from pathlib import Path
    >>> from zslbench.cells.store import Store
    >>> mlflow = WhileReachable(lambda: Tracker(Store(Path("runs"))), "Results stay in runs.")
    >>> mlflow.do(lambda tracker: tracker.finish())
    """

    def __init__(self, connect: Callable[[], Any], remains: str, say: Callable[[str], object] = tell) -> None:
        self._remains, self._say = remains, say
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
            self._say(f"MLflow cannot be reached ({error}) {self._remains}")
            return None


@contextlib.contextmanager
def projection(
    cells: list[Cell], queue: CellQueue, uri: str | None, *, wanted: bool, say: Callable[[str], object] = tell
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
        say,
    )
    if mlflow.tracker and mlflow.tracker.set_aside:
        say(f"note: {mlflow.tracker.set_aside}")

    def project(cell: Cell, result: Result) -> None:
        kept = result.state is not State.DONE and store.state(cell.id) is State.DONE  # a failed rerun is no result
        if not kept:
            mlflow.do(lambda tracker: tracker.project(Record(cell, result)))

    try:
        yield project
        if late := mlflow.do(lambda tracker: tracker.project_missing(cells)):
            say(f"{late} cells of earlier or other runs were copied into MLflow.")
    finally:
        mlflow.do(lambda tracker: tracker.finish())
        mlflow.do(lambda tracker: tell_addresses(uri, say))


def tell_addresses(uri: str | None, say: Callable[[str], object] = tell) -> None:
    """Print the addresses of a server's experiments that open on their rows; MLflow's own links open other pages."""
    if uri and uri.startswith(("http://", "https://")):
        for name, address in experiment_addresses(uri, uri).items():
            say(f"{name}: {address}")
