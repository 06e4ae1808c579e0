"""Dask schedulers and workers in processes of their own, as users start them."""

import contextlib
import json
import os
import subprocess
import sys
import time

from servers import stop


@contextlib.contextmanager
def dask(what, *arguments, path="", **environment):
    """Run ``dask scheduler`` or ``dask worker``; ``path`` is its PYTHONPATH."""
    env = os.environ | {"PYTHONPATH": str(path)} | environment
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, arguments)],
        env=env, cwd="/",  # python -m looks into its working directory before all else
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        stop(process)


@contextlib.contextmanager
def scheduler(folder, **more):
    """Run a scheduler and yield its process and its file."""
    file = folder / "scheduler.json"
    args = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", file)
    with dask("scheduler", *args, **more) as process:
        for _ in range(600):
            with contextlib.suppress(OSError, ValueError):
                json.loads(file.read_text())
                break
            time.sleep(0.1)
        yield process, file


def worker(folder, file, name, **more):
    """Run a worker of one thread."""
    return dask(
        "worker", "--scheduler-file", file, "--nthreads", "1", "--no-dashboard", "--name", name,
        "--local-directory", folder / name, **more,
    )  # fmt: skip
