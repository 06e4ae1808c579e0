"""``zslbench ui``: show the results in MLflow's web pages, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

import click

from zslbench.cells.store import Store
from zslbench.cli._console import RESULTS, tell_unreadable
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError

_SECONDS_TO_STOP = 10
_SAFE = b"[MLflow] Security middleware enabled"
_QUIET = {
    # MLflow's background jobs serve only its language-model pages: eight idle processes that are slow to end.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "PYTHONWARNINGS": "ignore",  # of MLflow's libraries about each other
}


@click.command(cls=Verb, examples=["zslbench ui --port 5001"])
@RESULTS
@click.option("--port", type=click.IntRange(1, 65535), default=5000)
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on. Addresses other than the default let other machines in, without a password.",
)
def command(results: Path, port: int, host: str) -> int:
    """Show the results in MLflow's web pages; Ctrl-C ends the server."""
    from zslbench.tracking.environment import prepare_environment
    from zslbench.tracking.tracker import ARTIFACTS, DATABASE, check_database, default_uri
    from zslbench.tracking.view import experiments_address

    if not (results / DATABASE).is_file():
        raise ZslbenchError(f"{results} has no {DATABASE}; make it with 'zslbench track sync --results {results}'.")
    check_database(results)
    tell_unreadable(Store(results).scan()[1])
    _check_free(host, port)
    prepare_environment()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1",
        "--backend-store-uri", default_uri(results), "--registry-store-uri", default_uri(results),
        "--uvicorn-opts", "--log-level warning --no-access-log",
        "--artifacts-destination", (results / ARTIFACTS).absolute().as_uri(),
    ]  # fmt: skip
    address = f"http://{_in_url(host)}:{port}"
    if entry_points(group="mlflow.app", name="zslbench"):
        command += ["--app-name", "zslbench"]
    else:  # a checkout that was installed before 0.2
        address = experiments_address(address)
    return _serve(command, host, port, address)


def _check_free(host: str, port: int) -> None:
    """Raise if the port is in use, before a server takes seconds to start and then fails."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: a port whose last connections still wait to close counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ZslbenchError(
                f"cannot listen on {_in_url(host)}:{port} ({error.strerror}); choose another port, such as "
                f"--port {port + 1}."
            ) from error


def _serve(command: list[str], host: str, port: int, address: str) -> int:
    """Run a server until it ends or this process is stopped; then end its child processes too.

    Its address is printed when it answers; what it writes is only about errors.
    """

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    # In a session of its own, one signal reaches the server and the workers that it starts.
    server = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)  # noqa: S603
    threading.Thread(target=_pass_on, args=(server.stderr,), daemon=True).start()
    try:
        while server.poll() is None and not _answers(host, port):
            time.sleep(0.1)
        if server.returncode is None:
            echo(f"MLflow shows the results on {address} (Ctrl-C ends it).")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        _end(server)


def _pass_on(lines: Iterable[bytes]) -> None:
    """Print what a server says on stderr, but not that the safe default is in force."""
    for line in lines:
        if not line.startswith(_SAFE):
            echo(line.decode(errors="replace").rstrip(), err=True)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _in_url(host: str) -> str:
    """Return a host as addresses of pages have it."""
    return f"[{host}]" if ":" in host else host


def _end(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):  # by force only if the server does not end in time
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_SECONDS_TO_STOP)
