"""Say where the cells of a plan run and within which limits, choose those to run, and run them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zslbench.cells.cell import Cell, State
from zslbench.cells.source import is_interactive
from zslbench.cells.store import Store
from zslbench.cells.unreadable import unreadable_text
from zslbench.errors import ZslbenchError
from zslbench.registry import get_method
from zslbench.run.cluster import read_cluster
from zslbench.run.engine import Watcher, run_dask, run_inline
from zslbench.run.plan import Plan
from zslbench.run.queue import CellQueue
from zslbench.run.supervised import SUPPORTED, Worker, run_supervised
from zslbench.run.workers import Limits, scheduler_address

BANNER = """\
################################################################################
##  SIMULATED FEATURES: no video was read. The figures below say nothing      ##
##  about recognising real actions; they only show that everything runs.      ##
##  Import real ones: zslbench features import DATASET NAME --features FILE   ##
################################################################################"""
Rerun = Literal["never", "missing", "failed", "all"]
_SMALLEST_LIMIT = 256 << 20  # bytes


@dataclass(frozen=True)
class Execution:
    """Where cells run, within which limits, and whether results are projected into MLflow.

    ``inline`` runs them in this process; ``apart`` gives each method a process of its own. ``stops`` runs them in this
    process, too, and ends the run at the first failure. Cells of local methods always run in this process.

    Examples
    --------
    >>> Execution(workers=4, timeout=600).workers
    4
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
    stops: bool = False


def cells_to_run(cells: Sequence[Cell], store: Store, rerun: Rerun) -> CellQueue:
    """Return the cells that ``rerun`` chooses.

    A cell without a model counts as missing if models are kept, and so does one without all scores if these are. So
    does a cell whose method was defined in a notebook or script: its digest cannot cover all that the method calls.

    Examples
    --------
    >>> len(cells_to_run([], Store(Path("runs")), "missing"))
    0
    """

    def wanted(cell: Cell) -> bool:
        state = store.state(cell.id)
        missing = (
            state is not State.DONE
            or (store.keep_models and store.lacks_model(cell.id))
            or (store.keep_scores is not None and store.lacks_scores(cell.id))
            or (cell.local and is_interactive(get_method(cell.method)))
        )
        return {"never": False, "missing": missing, "failed": state not in (None, State.DONE), "all": True}[rerun]

    return CellQueue(cells, store, wanted)


def announcements(plan: Plan, todo: CellQueue) -> Iterator[str]:
    """Yield what to know before a run: the plan's notices and size, with a banner if its features are simulated.

    >>> print(*announcements(Plan(), CellQueue([], Store(Path("runs")))))
    0 cells: 0 kept from before, 0 to run; results in ...
    """
    yield from input_notes(plan)
    if len({(cell.label, cell.variant) for cell in plan.cells}) > len({cell.label for cell in plan.cells}):
        yield "note: the best variant on unseen classes is partly luck; to choose one, use 'zslbench tune'."
    waiting, store = {cell.id for cell in todo}, todo.store
    unreadable = store.unreadable(cell.id for cell in plan.cells)
    for then, found in (
        ("it runs again", [cell for cell in unreadable if cell.id in waiting]),
        ("--rerun missing runs it again", [cell for cell in unreadable if cell.id not in waiting]),
    ):
        if found:
            yield unreadable_text(found, then)
    done = len(plan.cells) - len(todo)
    yield f"{len(plan.cells)} cells: {done} kept from before, {len(todo)} to run; results in {store.root}"


def input_notes(plan: Plan) -> Iterator[str]:
    """Yield the plan's notices, and a banner if its features are simulated."""
    if plan.simulated:
        yield BANNER
    for notice in dict.fromkeys(plan.notices):
        yield f"note: {notice}"


def check_execution(cells: Sequence[Cell], execution: Execution) -> None:
    """Refuse workers and limits for cells that run in this process.

    Raises
    ------
    ZslbenchError
        There are such cells: all if the run stops at a failure, or those of local methods.

    Examples
    --------
    >>> check_execution([], Execution(workers=2))
    """
    limit = execution.timeout or execution.memory_limit
    if execution.stops and (limit or execution.workers or execution.scheduler):
        raise ZslbenchError(
            "a run that stops at the first failure runs its cells in this process; leave out the workers and limits."
        )
    if limit and (local := next((cell.method for cell in cells if cell.local), None)):
        raise ZslbenchError(
            f"{local} is a local method, which runs in this process, where no time or memory limit can be kept; leave "
            f"the limit out, or install the method's package."
        )


@contextlib.contextmanager
def prepared(queue: CellQueue, execution: Execution) -> Iterator[Callable[[Watcher], None]]:
    """Yield the function that runs the cells; it may need a process, which starts now and ends with the block.

    Raises
    ------
    ZslbenchError
        A limit, a scheduler's file or a cluster's file is wrong.
    """
    with contextlib.ExitStack() as stack:
        local, packaged = queue.only(lambda cell: cell.local), queue.only(lambda cell: not cell.local)
        others = _engine(packaged, execution, stack)

        def run(watcher: Watcher) -> None:
            run_inline(local, watcher, stops=execution.stops)
            others(watcher)

        yield run


def _engine(queue: CellQueue, execution: Execution, stack: contextlib.ExitStack) -> Callable[[Watcher], None]:
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
    if execution.inline or execution.stops or not SUPPORTED:
        return lambda watcher: run_inline(queue, watcher, stops=execution.stops)
    worker = stack.enter_context(Worker())
    return lambda watcher: run_supervised(queue, watcher, worker, apart=execution.apart)


def checked_size(text: str | None) -> str | None:
    """Return the memory limit; raise an error if no worker could live with it.

    >>> checked_size("4GiB")
    '4GiB'
    """
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
