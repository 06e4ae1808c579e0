"""Run cells in this process, or on Dask workers, one cell per worker at a time.

A cell that raises becomes a row of results. On workers, so does a cell that kills its process or exceeds the limit of
memory or time. The launcher gives each idle worker one cell by address, so it knows the cell of a dead worker exactly.
:mod:`zslbench.run.supervised` runs cells in one process beside this one, which is the default.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zslbench.cells.cell import Cell, Failure, Result, State
from zslbench.cells.store import Record, Store
from zslbench.compute import RunDevice, computing_on, current_offer
from zslbench.errors import ZslbenchError
from zslbench.method import Report
from zslbench.run._team import Expected, Team
from zslbench.run.cluster import ClusterFile
from zslbench.run.probe import Questions
from zslbench.run.queue import CellQueue, Claim
from zslbench.run.runner import PeakMemory, environment, run_cell
from zslbench.run.workers import Limits, dask_client

_POLL_SECONDS = 0.1
_NEAR_LIMIT = 0.7  # a worker that died above this share of its memory limit is taken to have died of it
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

    def noted(self, text: str) -> None:
        """Handle a sentence for the user about workers."""

    def output(self, text: str) -> None:
        """Handle lines that a method printed."""

    def finished(self, cell: Cell, result: Result) -> None:
        """Handle a cell that has been stored."""

    def taken(self, cell: Cell, result: Result) -> None:
        """Handle a cell that another run has computed in the meantime."""


class WatchedReport(Report):
    """A report that passes the progress on, at most five times per second.

    Examples
    --------
    >>> WatchedReport(print).progress(2, 2, "epochs")
    2 2 epochs
    """

    def __init__(self, tell: Callable[[float, float, str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._last = 0.0

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Pass the progress on, unless that has been done a moment ago."""
        now = time.monotonic()
        if now - self._last > 0.2 or done >= total:
            self._last = now  # five messages per second are enough for a bar; the last one is never dropped
            self._tell(done, total, what)


class CellError(Exception):
    """A cell failed in a run that stops at the first failure.

    Attributes
    ----------
    cell
        The cell, which is stored as failed.
    error
        What its method raised, with the traceback.

    Examples
    --------
    >>> try:
    ...     run_inline(CellQueue([], Store(Path("runs"))), Watcher(), stops=True)
    ... except CellError as stopped:
    ...     raise stopped.error
    """

    def __init__(self, cell: Cell, error: BaseException) -> None:
        super().__init__(f"{cell.title}: {type(error).__name__}")
        self.cell, self.error = cell, error


def run_inline(queue: CellQueue, watcher: Watcher, *, stops: bool = False) -> None:
    """Run cells one after the other in this process; an exception becomes a row, Ctrl-C stops the run.

    Parameters
    ----------
    stops
        Whether the first failure ends the run.

    Raises
    ------
    CellError
        A cell failed, and ``stops`` is true.
    """
    for claim in unfinished(queue, watcher):
        errors: list[BaseException] = []
        report = WatchedReport(partial(watcher.progress, claim.cell.id))
        with held(claim, queue.store):
            watcher.started(claim.cell)
            result = run_cell(claim.cell, queue.store, report, on_error=errors.append)
        watcher.finished(claim.cell, result)
        if stops and errors:
            raise CellError(claim.cell, errors[0])


def unfinished(queue: CellQueue, watcher: Watcher) -> Iterator[Claim]:
    """Yield the cells to run; those that another run has computed go to the watcher."""
    for claim in queue.claims():
        if not taken(claim, watcher):
            yield claim


def taken(claim: Claim, watcher: Watcher) -> bool:
    """Return whether another run has computed the cell; if so, release it and say so."""
    if claim.record is None:
        return False
    claim.release(stored=True)
    watcher.taken(claim.cell, claim.record.result)
    return True


@contextlib.contextmanager
def held(claim: Claim, store: Store) -> Iterator[None]:
    """Release a cell at the end of the block, which stores it or raises."""
    stored = False
    try:
        yield
        stored = True
    finally:
        store.discard_unfinished(claim.cell.id)
        claim.release(stored=stored)


def run_dask(
    queue: CellQueue, watcher: Watcher, *, workers: int | None, scheduler: str | None, limits: Limits,
    cluster: ClusterFile | None = None, apart: bool = False,
) -> None:  # fmt: skip
    """Run cells on Dask workers: ``workers`` local processes, those of a scheduler, or jobs of a cluster.

    A worker that lacks the code, the data or the results folder of the run is named and gets no cell.

    Parameters
    ----------
    scheduler
        Address of a scheduler.
    cluster
        The jobs to start.
    apart
        Whether a worker is restarted before it gets a cell of another method.

    Raises
    ------
    ZslbenchError
        No scheduler answers, it ends during the run, or no worker can run a cell.
    """
    if apart:
        queue.by_method()
    logs = queue.store.root / "jobs"
    expected = Expected(workers=None if scheduler else workers or 1, ends=bool(limits.seconds or apart))
    if scheduler:
        expected = replace(expected, scheduler=f"the Dask scheduler at {scheduler}")
    if cluster:
        hint = f"the output of the jobs is in {logs}, unless the cluster file names another folder"
        expected = replace(expected, workers=cluster.workers, wait=cluster.wait, hint=hint)
    questions = Questions(list(queue), queue.store)
    with questions.marked(), dask_client(workers, scheduler, limits, cluster=cluster, logs=logs) as client:
        team = Team(client, questions, watcher.noted, expected)
        _Launcher(client, queue, watcher, limits, team, apart=apart).run()


def run_on_worker(cell: dict[str, Any], root: str, keep: dict[str, Any], device: RunDevice) -> str:
    """Run one cell in a Dask worker, store it, and return the result as JSON."""
    from distributed import get_worker

    parsed = Cell.model_validate(cell)
    worker = get_worker()

    def tell(*message: Any) -> None:
        worker.log_event(_TOPIC, (parsed.id, *message))

    # Memory is reported while it grows, because a process that is killed for it cannot report anything afterwards.
    with computing_on(device), PeakMemory(lambda rss: tell("rss", rss)):
        result = run_cell(parsed, Store(Path(root), **keep), WatchedReport(partial(tell, "progress")))
    return result.model_dump_json()


def store_ended(
    cell: Cell, store: Store, state: State, message: str, *, started: float, peak: int, log: str = ""
) -> Result:
    """Store and return the row of a cell whose process did not live to do so; ``peak`` is in bytes."""
    result = Result(
        state=state,
        started=started,
        finished=time.time(),
        peak_mb=peak / 2**20 or None,
        failure=Failure(type=state.value, message=message),
    )
    store.write(cell, result, environment=environment(), log=log + message)
    return result


@dataclass
class _Running:
    claim: Claim
    future: Any
    since: float
    memory: int  # bytes that its worker may take, 0 for no limit
    stamp: str | None  # of what is stored of the cell before it runs
    lost: float | None = None  # time since which its worker has not answered
    restart: Any = None  # of its worker, after a timeout


class _Launcher:
    """Give cells to idle workers, and store a row for each cell, however it ends."""

    def __init__(
        self, client: Any, queue: CellQueue, watcher: Watcher, limits: Limits, team: Team, *, apart: bool
    ) -> None:
        self.client = client
        self.queue = queue
        self.store = queue.store
        self.watcher = watcher
        self.limits = limits
        self.team = team
        self.apart = apart
        self.methods: dict[str, str] = {}  # the method that a worker has run
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

    def run(self) -> None:
        """Run all cells; return when each has a row."""
        restarts = ThreadPoolExecutor(1)  # a restart takes seconds, and the other workers must not wait for it
        try:
            while self.queue or self.running:
                known = self.team.known()
                self.leaving &= known  # a worker that returns at the same address is a new one
                self._give(sorted(self.team.usable() - self.leaving - self.running.keys()), restarts)
                for address, job in list(self.running.items()):
                    job.lost = None if address in known else job.lost or time.time()
                    self._look_after(address, job, restarts)
                time.sleep(_POLL_SECONDS)
        finally:
            for job in self.running.values():
                job.claim.release(stored=False)
            restarts.shutdown(wait=False, cancel_futures=True)

    def _give(self, idle: list[str], restarts: ThreadPoolExecutor) -> None:
        """Give each idle worker a cell that no other run holds."""
        while idle and (claim := self.queue.take()):
            if taken(claim, self.watcher):
                continue
            ready = [a for a in idle if not self.apart or self.methods.get(a, claim.cell.method) == claim.cell.method]
            if ready:
                idle.remove(ready[0])
                self.methods[ready[0]] = claim.cell.method
                self._submit(claim, ready[0])
                continue
            claim.release(stored=False)
            self.queue.put_back(claim.cell)
            for address in idle:
                self._restart(address, restarts)
            return

    def _restart(self, address: str, restarts: ThreadPoolExecutor) -> Any:
        self.leaving.add(address)
        self.methods.pop(address, None)
        return restarts.submit(self.client.restart_workers, [address], timeout=_RESTART_SECONDS, raise_for_error=False)

    def _look_after(self, address: str, job: _Running, restarts: ThreadPoolExecutor) -> None:
        if job.restart is not None:
            if job.restart.done():  # before, the cell may still finish
                del self.running[address]
                self._end(job, timed_out=True)
            return
        if job.future.status in ("cancelled", "lost"):  # only a lost scheduler does this
            raise self.team.gone()
        pending = job.future.status == "pending"
        # A scheduler that zslbench did not start may wait for a dead worker forever.
        lost = pending and job.lost is not None and time.time() - job.lost > _LOST_SECONDS
        timed_out = pending and self.limits.seconds is not None and time.time() - job.since > self.limits.seconds
        if pending and not (lost or timed_out):
            return
        if lost or timed_out:
            job.future.cancel()
        if timed_out and not lost:
            job.restart = self._restart(address, restarts)
            return
        del self.running[address]
        self._end(job, timed_out=False)

    def _submit(self, claim: Claim, address: str) -> None:
        cell = claim.cell
        self.watcher.started(cell)
        future = self.client.submit(
            run_on_worker,
            cell.model_dump(mode="json"),
            str(self.store.root),
            self.store.keep,
            current_offer().wanted,
            key=f"cell-{cell.id}-{time.time_ns()}",  # new at each run, or Dask could return the earlier result
            workers=[address],
            pure=False,
        )
        self.running[address] = _Running(
            claim, future, time.time(), self.team.memory(address), self.store.stamp(cell.id)
        )

    def _end(self, job: _Running, *, timed_out: bool) -> None:
        cell = job.claim.cell
        with held(job.claim, self.store):
            result = self._result(job)
            if result is None:
                peak = self.peaks.get(cell.id, 0)
                state, message = self._diagnose(job, peak, timed_out=timed_out)
                result = store_ended(cell, self.store, state, message, started=job.since, peak=peak)
        self.watcher.finished(cell, result)

    def _result(self, job: _Running) -> Result | None:
        """Return the result of a cell that its worker has stored, even if the worker died at once after that."""
        if job.future.status == "finished":
            with contextlib.suppress(Exception):  # lost with its worker; Dask would wait for it forever
                return Result.model_validate_json(job.future.result(timeout=_LOST_SECONDS))
        cell_id = job.claim.cell.id
        found = self.store.newest(cell_id) if self.store.stamp(cell_id) != job.stamp else None
        return found.result if isinstance(found, Record) else None

    def _diagnose(self, job: _Running, peak: int, *, timed_out: bool) -> tuple[State, str]:
        from dask.utils import format_bytes
        from distributed import KilledWorker

        if timed_out:
            return State.TIMEOUT, f"longer than the limit of {self.limits.seconds:g} s; raise it with --timeout"
        if job.memory and peak > _NEAR_LIMIT * job.memory:
            limit = self.limits.memory or format_bytes(job.memory)
            how = "with --memory-limit" if self.limits.memory else "where its worker is started"
            return State.OUT_OF_MEMORY, f"more than the limit of {limit}; raise it {how}"
        error = job.future.exception() if job.future.status == "error" else None
        if error is None or isinstance(error, KilledWorker):
            return (
                State.KILLED,
                "its worker process died: the method ended it, crashed, or the system or cluster killed it",
            )
        if isinstance(error, ZslbenchError):  # errors of the method are rows already, so the store cannot be written
            raise error
        return State.FAILED, f"{type(error).__name__}: {error}"
