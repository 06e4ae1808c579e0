"""Project finished cells into MLflow while a run goes on, and go on without MLflow where it is away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click

from zslbench.cells.cell import Cell, Result
from zslbench.cells.store import Record, Store
from zslbench.errors import ZslbenchError


@contextlib.contextmanager
def projection(store: Store, uri: str | None, *, wanted: bool) -> Iterator[Callable[[Cell, Result], None]]:
    """Yield a function that projects one finished cell; a tracking failure is said once and stops nothing."""
    if not wanted:
        yield lambda cell, result: None
        return
    from zslbench.tracking.tracker import Tracker

    trackers: list[Any] = []

    def guarded(action: Callable[[], Any]) -> Any:
        try:
            return action()
        except ZslbenchError as error:
            trackers.clear()
            target = f" --tracking-uri {uri}" if uri else ""
            click.echo(
                f"MLflow is away ({error}) Results stay in {store.root}; later: zslbench track sync"
                f" --results {store.root}{target}",
                err=True,
            )
            return None

    if tracker := guarded(lambda: Tracker(store, uri)):
        trackers.append(tracker)

    def project(cell: Cell, result: Result) -> None:
        for tracker in list(trackers):
            guarded(partial(tracker.project, Record(cell, result)))

    try:
        yield project
    finally:
        for tracker in list(trackers):
            guarded(tracker.finish)
        if trackers:
            guarded(lambda: tell_addresses(uri))


def tell_addresses(uri: str | None) -> None:
    """Say where a server's experiments open on their rows; MLflow's own links lead elsewhere."""
    if uri and uri.startswith(("http://", "https://")):
        from zslbench.tracking.tracker import experiment_addresses

        for name, address in experiment_addresses(uri, uri).items():
            click.echo(f"{name}: {address}", err=True)
