"""Start workers as jobs of a cluster, described by a TOML file."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from zslbench.errors import ZslbenchError, suggest, validated
from zslbench.files import DATA_ROOT_VARIABLE, data_root, read_toml

LOCAL = "local"
_CLASSES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
_LOCAL_ARGUMENTS = ("memory_limit",)
_OWN = {  # set here, or of no use in a file
    "scheduler", "name", "n_workers", "processes", "nanny", "asynchronous", "loop", "job_cls", "scheduler_cls",
    "silence_logs", "security", "config_name", "dashboard_address", "host", "job_kwargs", "self", "args", "kwargs",
    "base_class_kwargs", "extra", "job_extra", "env_extra", "header_skip", "project",
}  # fmt: skip


class ClusterFile(BaseModel):
    """The jobs that run cells: their kind and number, and the arguments of Dask's class for this kind.

    Attributes
    ----------
    kind
        ``slurm``, ``pbs``, ``lsf``, or ``local`` for processes of this machine.
    workers
        Number of jobs; each runs one cell at a time.
    wait
        Seconds to wait for a first worker, and for the next one after all have ended.
    arguments
        Keyword arguments of the class of dask-jobqueue, such as ``queue``, ``cores``, ``memory`` and ``walltime``.

    Examples
    --------
    >>> ClusterFile(kind="slurm", workers=8, arguments={"cores": 2, "memory": "8GiB"}).workers
    8
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    workers: int = Field(default=1, ge=1, strict=True)
    wait: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    arguments: dict[str, Any] = {}


def read_cluster(path: Path) -> ClusterFile:
    """Return the cluster that a TOML file describes.

    Raises
    ------
    ZslbenchError
        A key or the kind is unknown, a value is wrong, or dask-jobqueue is not installed.
    """
    cluster = validated(ClusterFile, read_toml(path), str(path))
    kinds = (*_CLASSES, LOCAL)
    if cluster.kind not in kinds:
        raise ZslbenchError(f"{path}: kind {cluster.kind!r} is unknown.{suggest(cluster.kind, kinds)}")
    known = _LOCAL_ARGUMENTS if cluster.kind == LOCAL else _arguments(_cluster_class(cluster.kind))
    if unknown := sorted(set(cluster.arguments) - set(known)):
        raise ZslbenchError(
            f"{path}: [arguments] of kind {cluster.kind!r} has no {unknown[0]!r}.{suggest(unknown[0], known)}"
        )
    if cluster.kind != LOCAL and (missing := [name for name in ("cores", "memory") if name not in cluster.arguments]):
        raise ZslbenchError(f"{path}: [arguments] lacks {missing[0]!r}, which each job asks for; add it.")
    return cluster


@contextlib.contextmanager
def started_jobs(cluster: ClusterFile, logs: Path, settings: dict[str, Any]) -> Iterator[Any]:
    """Submit the jobs and yield Dask's cluster; at the end of the block, they are cancelled.

    Parameters
    ----------
    logs
        Folder of the output of jobs, unless the file names another one.
    settings
        Dask's settings for the workers.

    Raises
    ------
    ZslbenchError
        An argument has a wrong value, or a job cannot be submitted.
    """
    kind = _cluster_class(cluster.kind)
    arguments: dict[str, Any] = {"log_directory": str(logs)} | cluster.arguments
    prologue = arguments.get("job_script_prologue", [])
    if not isinstance(prologue, list) or not all(isinstance(line, str) for line in prologue):
        raise ZslbenchError("job_script_prologue of the cluster file must be a list of commands, such as ['date'].")
    arguments["job_script_prologue"] = [*_prologue(settings, arguments), *prologue]
    # The page of Dask's state, which zslbench does not need, stays on this machine, at any free port.
    arguments["scheduler_options"] = {"dashboard_address": "127.0.0.1:0"} | arguments.get("scheduler_options", {})
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(kind(processes=1, silence_logs="CRITICAL", **arguments))
            _submit(made, cluster.workers)
        except (ValueError, TypeError, AttributeError, RuntimeError, OSError) as error:
            raise ZslbenchError(
                f"the {cluster.kind} cluster refuses the jobs ({_said(error)}); correct [arguments] in its file."
            ) from error
        yield made


def _submit(made: Any, jobs: int) -> None:
    from distributed import Status

    for _ in range(jobs):
        made.worker_spec.update(made.new_worker_spec())
    try:
        made.sync(made._correct_state)  # noqa: SLF001 - scale() submits in the background, and errors are lost there
    except Exception:
        for job in made.workers.values():
            job.status = Status.failed  # the end of the cluster still cancels it, and trips over another status
        raise


def _cluster_class(kind: str) -> Any:
    try:
        with _same_signals():
            return getattr(importlib.import_module("dask_jobqueue"), _CLASSES[kind])
    except ImportError as error:
        raise ZslbenchError(
            f"a cluster of kind {kind!r} needs dask-jobqueue; pip install 'zslbench[cluster]'."
        ) from error


@contextlib.contextmanager
def _same_signals() -> Iterator[None]:
    """Restore what Ctrl-C and SIGTERM do: dask-jobqueue lets them end the process with code 0 when it is imported."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _arguments(kind: Any) -> Sequence[str]:
    """Return the names of arguments that a class, its base classes and its jobs have."""
    classes = [*kind.__mro__[:-1], *kind.job_cls.__mro__[:-1]]
    names = {
        name
        for cls in classes
        if cls.__module__.startswith("dask_jobqueue") and "__init__" in vars(cls)
        for name in inspect.signature(cls.__init__).parameters
    }
    return sorted(names - _OWN)


def _prologue(settings: dict[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Return the commands at the start of a job: settings of Dask and BLAS, the data root, and a scratch folder."""
    names = {f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": value for name, value in settings.items()}
    threads = {f"{name}_NUM_THREADS": arguments["cores"] for name in ("OMP", "MKL", "OPENBLAS")}
    exported = {**names, **threads, DATA_ROOT_VARIABLE: os.path.abspath(data_root())}  # noqa: PTH100
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in exported.items()]
    if "local_directory" not in arguments:
        lines += ['DASK_TEMPORARY_DIRECTORY="$(mktemp -d)"', "export DASK_TEMPORARY_DIRECTORY"]
        lines += ["trap 'rm -rf \"$DASK_TEMPORARY_DIRECTORY\"' EXIT"]
    return lines


def _said(error: Exception) -> str:
    """Return what a command of the cluster wrote, or else the error's first line."""
    text = str(error)
    said = text.partition("stderr:\n")[2].strip() or text.strip() or type(error).__name__
    return said.splitlines()[0]
