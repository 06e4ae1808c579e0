"""Connect to Dask workers: local ones, those of a scheduler, or jobs of a cluster; set the limits of a cell."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zslbench.errors import ZslbenchError
from zslbench.files import data_root, read_json
from zslbench.run.cluster import LOCAL, ClusterFile, started_jobs

CONNECT_SECONDS = 10.0


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
def dask_client(
    workers: int | None,
    scheduler: str | None,
    limits: Limits,
    *,
    cluster: ClusterFile | None = None,
    logs: Path = Path("jobs"),
) -> Iterator[Any]:
    """Yield a client of ``workers`` local processes of one thread each, of a scheduler, or of a cluster's jobs.

    Parameters
    ----------
    scheduler
        Address of a scheduler.
    cluster
        The jobs to start.
    logs
        Folder of the output of these jobs.

    Raises
    ------
    ZslbenchError
        No scheduler answers at ``scheduler``, or the jobs cannot be submitted.
    """
    import dask
    from distributed import Client, LocalCluster

    if cluster and cluster.kind == LOCAL:
        workers, limits = cluster.workers, Limits(limits.seconds, cluster.arguments.get("memory_limit"))
        cluster = None
    threads = str(max(1, (os.cpu_count() or 1) // max(1, workers or 1)))
    spawn = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    on_workers = {
        # A batch system's jobs always have a limit of memory.
        "distributed.worker.memory.terminate": 0.95 if limits.memory or cluster else False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.admin.system-monitor.interval": "250ms",
    }
    settings = {
        "distributed.scheduler.allowed-failures": 0,  # a cell that kills its worker must not kill the next one
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.nanny.pre-spawn-environ": spawn,  # BLAS reads these when numpy is imported
        "logging.distributed": "error",
    }
    with contextlib.ExitStack() as stack:
        # Dask's own folder for its files would stay in the system's folder of temporary files.
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="zslbench-", ignore_cleanup_errors=True))
        stack.enter_context(dask.config.set(settings | on_workers | {"temporary-directory": scratch}))
        stack.enter_context(_same_environment())
        stack.enter_context(_quiet())
        if scheduler:
            yield stack.enter_context(_connected(scheduler))
            return
        if cluster:
            yield stack.enter_context(Client(stack.enter_context(started_jobs(cluster, logs, on_workers))))
            return
        local = stack.enter_context(
            LocalCluster(
                n_workers=workers or 1,
                threads_per_worker=1,
                memory_limit=limits.memory or 0,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # any free port; None tries 8787, and warns if it is in use
                silence_logs="CRITICAL",
                preload=["zslbench.run._deaf"],
            )
        )
        yield stack.enter_context(Client(local))


def scheduler_address(path: Path) -> str:
    """Return the address in the file that ``dask scheduler --scheduler-file`` writes.

    Raises
    ------
    ZslbenchError
        The file cannot be read, or has no address.
    """
    remedy = "name the file that 'dask scheduler --scheduler-file' writes"
    found = read_json(path, remedy)
    address = found.get("address") if isinstance(found, dict) else None
    if not isinstance(address, str):
        raise ZslbenchError(f"{path} has no address of a scheduler; {remedy}.")
    return address


@contextlib.contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    from distributed import Client

    try:
        _identify(scheduler)
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ZslbenchError(f"no Dask scheduler answers at {scheduler}; start one or use --workers N.") from error
    with client:
        try:
            client.run_on_scheduler(data_root)
        except Exception as error:  # whatever happens there: it comes as an error of any type
            raise ZslbenchError(
                f"the Dask scheduler at {scheduler} has no zslbench; start it in an environment that has zslbench."
            ) from error
        yield client


def _identify(scheduler: str) -> None:
    """Ask a scheduler what it is; Dask's client waits forever for one that accepts a connection and says nothing."""
    import asyncio

    from distributed.core import rpc
    from distributed.security import Security

    async def ask() -> None:
        arguments = Security().get_connection_args("client")
        async with rpc(scheduler, timeout=CONNECT_SECONDS, connection_args=arguments) as there:
            await there.identity()

    async def ask_in_time() -> None:
        await asyncio.wait_for(ask(), CONNECT_SECONDS)

    asyncio.run(ask_in_time())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask logs about lost connections off the terminal: each problem is one sentence of zslbench."""
    names = [*logging.root.manager.loggerDict, "distributed", "tornado", "asyncio"]  # some have levels of their own
    loggers = [logging.getLogger(n) for n in names if n.partition(".")[0] in ("distributed", "tornado", "asyncio")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


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
