"""Run the cells of a plan where the options say, with progress, and copy them into MLflow."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zslbench.cells.cell import State
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError
from zslbench.run.cluster import read_cluster
from zslbench.run.engine import Watcher, run_dask, run_inline
from zslbench.run.plan import Plan
from zslbench.run.queue import CellQueue
from zslbench.run.supervised import SUPPORTED, Worker, run_supervised
from zslbench.run.workers import Limits, scheduler_address

_SMALLEST_LIMIT = 256 << 20  # bytes


@dataclass(frozen=True)
class Execution:
    """Where cells run, within which limits, and whether results are projected into MLflow.

    ``inline`` runs them in this process; ``apart`` gives each method a process of its own.
    """

    inline: bool = False
    apart: bool = False
    workers: int | None = None
    scheduler: str | None = None
    scheduler_file: Path | None = None
    cluster: Path | None = None
    timeout: float | None = None
    memory_limit: str | None = None
    tracking_uri: str | None = None
    track: bool = True


def run_cells(plan: Plan, queue: CellQueue, execution: Execution) -> int:
    """Run the cells that wait, and return how many failed; copy what MLflow lacks of the plan."""
    from zslbench.cli._progress import RunWatcher
    from zslbench.cli._track import projection

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill by SIGTERM stops as cleanly as Ctrl-C
    total, store = len(queue), queue.store
    with contextlib.ExitStack() as stack:
        engine = _engine(queue, execution, stack)
        project = stack.enter_context(projection(plan.cells, queue, execution.tracking_uri, wanted=execution.track))
        watcher = RunWatcher(total, project)
        try:
            with watcher:
                engine(watcher)
        except KeyboardInterrupt:
            echo(
                f"stopped: {len(watcher.results)} of {total} cells are kept in {store.root}; "
                "give the same command again to continue.",
                err=True,
            )
            raise
    if watcher.others:
        echo(f"{watcher.others} of {total} cells were computed by another run.", err=True)
    failed = [cell.id for cell, result in watcher.results if result.state is not State.DONE]
    kept = sum(store.state(cell_id) is State.DONE for cell_id in failed)
    if kept:
        echo(
            f"{kept} of {total} cells failed now and keep the figures that they had (reasons: error.json in "
            f"{store.reruns.cells}/CELL).",
            err=True,
        )
    if len(failed) > kept:
        echo(
            f"{len(failed) - kept} of {total} cells have no figures (reasons: error.json in {store.cells}/CELL); "
            "the same command runs them again.",
            err=True,
        )
    return len(failed)


def _engine(queue: CellQueue, execution: Execution, stack: contextlib.ExitStack) -> Callable[[Watcher], None]:
    """Return the function that runs the cells; it may start a process, which ends with the stack."""
    limits = Limits(execution.timeout, checked_size(execution.memory_limit))
    scheduler, cluster = execution.scheduler, None
    if execution.scheduler_file:
        scheduler = scheduler_address(execution.scheduler_file)
    if execution.cluster:
        cluster = read_cluster(execution.cluster)
    # Only Dask's workers have limits.
    workers = execution.workers or (1 if (limits.seconds or limits.memory) else None)
    if not queue:
        return lambda watcher: None
    if workers or scheduler or cluster:
        return lambda watcher: run_dask(
            queue, watcher, workers=workers, scheduler=scheduler, limits=limits, cluster=cluster, apart=execution.apart
        )
    if execution.inline or not SUPPORTED:
        return lambda watcher: run_inline(queue, watcher)
    worker = stack.enter_context(Worker())
    return lambda watcher: run_supervised(queue, watcher, worker, apart=execution.apart)


def checked_size(text: str | None) -> str | None:
    """Return the memory limit; raise an error if no worker could live with it."""
    if text is not None:
        from dask.utils import parse_bytes

        try:
            size = parse_bytes(text)
        except (ValueError, OverflowError):
            raise ZslbenchError(f"--memory-limit {text!r} is not a size; write one such as 4GiB.") from None
        # Dask takes 0 for no limit, and starts a worker again and again that needs more to live.
        if size < _SMALLEST_LIMIT:
            raise ZslbenchError(f"--memory-limit {text!r} is less than a worker itself needs; give 256MiB or more.")
    return text
