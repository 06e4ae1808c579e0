"""MLflow servers on the loopback address, for tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def hears_ctrl_c():
    """Restore SIGINT in a child before it starts: a test run in the background of a shell has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def serving(command, url, *, seconds=90):
    """Run a server until the block ends; it answers at ``url`` before the block begins."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # eight idle processes, slow to start
    )
    try:
        for _ in range(seconds * 4):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/health", timeout=2).close()
                break
            assert process.poll() is None, f"{command} ended with {process.returncode}"
            time.sleep(0.25)
        else:
            pytest.fail(f"nothing answered at {url} within {seconds} s")
        yield process
    finally:
        stop(process)


def stop(process):
    """End a server and its own children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)


def mlflow_server(folder, port):
    """Return the command of an MLflow server with a database and files of its own."""
    return [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", (folder / "files").as_uri(),
    ]  # fmt: skip
