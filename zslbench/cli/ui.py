"""``zslbench ui``: show the results in MLflow's web pages, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click

from zslbench.cells.store import Store
from zslbench.cli._console import RESULTS, tell_unreadable
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError

_SECONDS_TO_STOP = 10


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
    from zslbench.tracking.tracker import ARTIFACTS, DATABASE, default_uri, experiment_addresses, prepare_environment
    from zslbench.tracking.view import experiments_address

    if not (results / DATABASE).is_file():
        raise ZslbenchError(f"{results} has no {DATABASE}; make it with 'zslbench track sync --results {results}'.")
    tell_unreadable(Store(results).scan()[1])
    _check_free(host, port)
    prepare_environment()
    # MLflow's background jobs serve only its language-model pages: eight idle processes that are slow to end.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1",
        "--backend-store-uri", default_uri(results),
        "--artifacts-destination", (results / ARTIFACTS).absolute().as_uri(),
    ]  # fmt: skip
    server = f"http://{host}:{port}"
    echo(f"MLflow on {experiments_address(server)} (Ctrl-C ends it). Each experiment opens on its rows here:")
    for name, address in experiment_addresses(default_uri(results), server).items():
        echo(f"  {name}: {address}")
    return _serve(command)


def _check_free(host: str, port: int) -> None:
    """Raise if the port is in use, before a server takes seconds to start and then fails."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: a port whose last connections still wait to close counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ZslbenchError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another one, such as --port {port + 1}."
            ) from error


def _serve(command: list[str]) -> int:
    """Run a server until it ends or this process is stopped; then end its child processes too."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    # In a session of its own, one signal reaches the server and the workers that it starts.
    server = subprocess.Popen(command, start_new_session=True)  # noqa: S603
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):  # by force only if the server does not end in time
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_SECONDS_TO_STOP)
