"""Connect to Dask workers, of a local cluster or at an address, and set the limits of a cell."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zslbench.errors import ZslbenchError


@dataclass(frozen=True)
class Limits:
    """Limits of one cell: seconds, and memory of its process as in ``4GiB``; ``None`` for no limit.

    Examples
    --------
    >>> Limits(seconds=600, memory="4GiB")
    Limits(seconds=600, memory='4GiB')
    """

    seconds: float | None = None
    memory: str | None = None


@contextlib.contextmanager
def dask_client(workers: int | None, scheduler: str | None, limits: Limits) -> Iterator[Any]:
    """Yield a client of ``workers`` local processes of one thread each, or of the cluster at ``scheduler``.

    Raises
    ------
    ZslbenchError
        No cluster answers at ``scheduler``.
    """
    import dask
    from distributed import Client, LocalCluster

    threads = str(max(1, (os.cpu_count() or 1) // max(1, workers or 1)))
    spawn = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    settings = {
        "distributed.scheduler.allowed-failures": 0,  # a cell that kills its worker must not kill the next one
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.nanny.pre-spawn-environ": spawn,  # BLAS reads these when numpy is imported
        "distributed.worker.memory.terminate": 0.95 if limits.memory else False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.admin.system-monitor.interval": "250ms",
        "logging.distributed": "error",
    }
    with dask.config.set(settings), _same_environment(), contextlib.ExitStack() as stack:
        if scheduler:
            try:
                yield stack.enter_context(Client(scheduler, timeout=10))
            except (OSError, ValueError) as error:
                raise ZslbenchError(
                    f"no Dask scheduler answers at {scheduler}; start one or use --workers N."
                ) from error
            return
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=workers or 1,
                threads_per_worker=1,
                memory_limit=limits.memory or 0,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # any free port; None tries 8787, and warns if it is in use
                silence_logs="CRITICAL",
            )
        )
        yield stack.enter_context(Client(cluster))


@contextlib.contextmanager
def _same_environment() -> Iterator[None]:
    """Restore this process's environment, which Dask changes so that its workers inherit the changes."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
