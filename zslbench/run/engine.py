"""Run cells in this process, or on Dask workers, one cell per worker at a time.

A cell that raises becomes a row of results. On workers, so does a cell that kills its process or exceeds the limit of
memory or time. The launcher gives each idle worker one cell by address, so it knows the cell of a dead worker exactly.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zslbench.cells.cell import Cell, Failure, Result, State
from zslbench.cells.store import Store
from zslbench.errors import ZslbenchError
from zslbench.method import Report
from zslbench.run.runner import PeakMemory, environment, run_cell
from zslbench.run.workers import Limits, dask_client

_POLL_SECONDS = 0.1
_NEAR_LIMIT = 0.7  # a worker that died above this share of its memory limit is taken to have died of it
_NO_WORKER_SECONDS = 120.0
_LOST_SECONDS = 5.0
_RESTART_SECONDS = 10.0
_TOPIC = "zslbench-progress"


class Watcher:
    """Receive the engine's events; this base class ignores them.

    Examples
    --------
    >>> class Titles(Watcher):
    ...     def started(self, cell):
    ...         print("started", cell.title)
    """

    def started(self, cell: Cell) -> None:
        """Handle the start of a cell."""

    def progress(self, cell_id: str, done: float, total: float, what: str) -> None:
        """Handle the progress of a cell."""

    def finished(self, cell: Cell, result: Result) -> None:
        """Handle a cell that has been stored."""


class _WatchedReport(Report):
    def __init__(self, tell: Callable[[float, float, str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._last = 0.0

    def progress(self, done: float, total: float, what: str = "") -> None:
        now = time.monotonic()
        if now - self._last > 0.2 or done >= total:
            self._last = now  # five messages per second are enough for a bar; the last one is never dropped
            self._tell(done, total, what)


def run_inline(cells: list[Cell], store: Store, watcher: Watcher) -> None:
    """Run cells one after the other in this process; an exception becomes a row, Ctrl-C stops the run."""
    for cell in cells:
        watcher.started(cell)
        report = _WatchedReport(partial(watcher.progress, cell.id))
        watcher.finished(cell, run_cell(cell, store, report))


def run_dask(
    cells: list[Cell], store: Store, watcher: Watcher, *, workers: int | None, scheduler: str | None, limits: Limits
) -> None:
    """Run cells on Dask workers: ``workers`` local processes, or those of the cluster at the address ``scheduler``.

    Raises
    ------
    ZslbenchError
        No cluster answers at ``scheduler``.
    """
    with dask_client(workers, scheduler, limits) as client:
        _Launcher(client, store, watcher, limits).run(cells)


def run_on_worker(cell: dict[str, Any], root: str, keep: dict[str, Any]) -> str:
    """Run one cell in a Dask worker, store it, and return the result as JSON."""
    from distributed import get_worker

    parsed = Cell.model_validate(cell)
    worker = get_worker()

    def tell(*message: Any) -> None:
        worker.log_event(_TOPIC, (parsed.id, *message))

    # Memory is reported while it grows, because a process that is killed for it cannot report anything afterwards.
    with PeakMemory(lambda rss: tell("rss", rss)):
        result = run_cell(parsed, Store(Path(root), **keep), _WatchedReport(partial(tell, "progress")))
    return result.model_dump_json()


@dataclass
class _Running:
    cell: Cell
    future: Any
    since: float
    lost: float | None = None  # time since which its worker has not answered


class _Launcher:
    """Give cells to idle workers, and store a row for each cell, however it ends."""

    def __init__(self, client: Any, store: Store, watcher: Watcher, limits: Limits) -> None:
        self.client = client
        self.store = store
        self.watcher = watcher
        self.limits = limits
        self.running: dict[str, _Running] = {}
        self.leaving: set[str] = set()  # workers that are being restarted; they get no cell
        self.peaks: dict[str, int] = {}
        client.subscribe_topic(_TOPIC, self._heard)

    def _heard(self, event: Any) -> None:
        cell_id, kind, *rest = event[1]
        if kind == "rss":
            self.peaks[cell_id] = max(self.peaks.get(cell_id, 0), rest[0])
        else:
            self.watcher.progress(cell_id, *rest)

    def run(self, cells: list[Cell]) -> None:
        """Run all cells; return when each has a row."""
        waiting = deque(cells)
        last_worker = time.time()
        restarts = ThreadPoolExecutor(1)  # a restart takes seconds, and the other workers must not wait for it
        try:
            while waiting or self.running:
                known = set(self.client.scheduler_info(n_workers=-1)["workers"])
                last_worker = time.time() if known else last_worker
                self.leaving &= known  # a worker that returns at the same address is a new one
                if time.time() - last_worker > _NO_WORKER_SECONDS:
                    raise ZslbenchError("no Dask worker is left; start workers, and give the same command again.")
                for address in sorted(known - self.leaving - self.running.keys())[: len(waiting)]:
                    self._submit(waiting.popleft(), address)
                for address, job in list(self.running.items()):
                    job.lost = None if address in known else job.lost or time.time()
                    self._look_after(address, job, restarts)
                time.sleep(_POLL_SECONDS)
        finally:
            restarts.shutdown(wait=False, cancel_futures=True)

    def _look_after(self, address: str, job: _Running, restarts: ThreadPoolExecutor) -> None:
        pending = job.future.status == "pending"
        # A scheduler that zslbench did not start may wait for a dead worker forever.
        lost = pending and job.lost is not None and time.time() - job.lost > _LOST_SECONDS
        timed_out = pending and self.limits.seconds is not None and time.time() - job.since > self.limits.seconds
        if pending and not (lost or timed_out):
            return
        del self.running[address]
        if lost:
            job.future.cancel()
        if timed_out:
            self.leaving.add(address)
            job.future.cancel()
            restarts.submit(self.client.restart_workers, [address], timeout=_RESTART_SECONDS, raise_for_error=False)
        self._end(job, timed_out=timed_out and not lost)

    def _submit(self, cell: Cell, address: str) -> None:
        self.watcher.started(cell)
        future = self.client.submit(
            run_on_worker,
            cell.model_dump(mode="json"),
            str(self.store.root.absolute()),
            {"keep_models": self.store.keep_models, "keep_scores": self.store.keep_scores},
            key=f"cell-{cell.id}-{time.time_ns()}",  # new at each run, or Dask could return the earlier result
            workers=[address],
            pure=False,
        )
        self.running[address] = _Running(cell, future, time.time())

    def _end(self, job: _Running, *, timed_out: bool) -> None:
        if not timed_out and job.future.status == "finished":
            self.watcher.finished(job.cell, Result.model_validate_json(job.future.result()))
            return
        peak = self.peaks.get(job.cell.id, 0)
        state, message = self._diagnose(job, peak, timed_out=timed_out)
        result = Result(
            state=state,
            started=job.since,
            finished=time.time(),
            peak_mb=peak / 2**20 or None,
            failure=Failure(type=state.value, message=message),
        )
        self.store.write(job.cell, result, environment=environment(), log=message)
        self.watcher.finished(job.cell, result)

    def _diagnose(self, job: _Running, peak: int, *, timed_out: bool) -> tuple[State, str]:
        from dask.utils import parse_bytes
        from distributed import KilledWorker

        if timed_out:
            return State.TIMEOUT, f"longer than the limit of {self.limits.seconds:g} s; raise it with --timeout"
        if self.limits.memory and peak > _NEAR_LIMIT * parse_bytes(self.limits.memory):
            return State.OUT_OF_MEMORY, f"more than the limit of {self.limits.memory}; raise it with --memory-limit"
        error = job.future.exception() if job.future.status == "error" else None
        if error is None or isinstance(error, KilledWorker):
            return State.KILLED, "its worker process died: the method ended it, crashed, or the system killed it"
        if isinstance(error, ZslbenchError):  # errors of the method are rows already, so the store cannot be written
            raise error
        return State.FAILED, f"{type(error).__name__}: {error}"
