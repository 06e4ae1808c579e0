"""Run cells in a process of their own, as the run asks for them."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import sys
import threading
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from zslbench.cells.cell import Cell
from zslbench.cells.store import Store
from zslbench.compute import computing_on
from zslbench.errors import ZslbenchError
from zslbench.run.engine import WatchedReport
from zslbench.run.runner import PeakMemory, run_cell, storable_text


def work(channel: Connection) -> None:
    """Run each cell that arrives, store it, and say so, until the channel closes.

    Messages are JSON, because a pickle from a process of plugins could run code in the other one.
    """
    sending = threading.Lock()

    def tell(*message: Any) -> None:
        with sending:
            channel.send_bytes(json.dumps(message).encode())

    def progress(done: float, total: float, what: str) -> None:
        tell("progress", float(done), float(total), storable_text(str(what)))

    faulthandler.enable()
    while True:
        try:
            order = json.loads(channel.recv_bytes())
        except EOFError:
            return
        before = _surroundings()
        store = Store(Path(order["root"]), **order["keep"])
        try:
            with computing_on(order["device"]), PeakMemory(partial(tell, "rss")):
                run_cell(Cell.model_validate(order["cell"]), store, WatchedReport(progress), stoppable=False)
        except ZslbenchError as error:
            tell("refused", str(error))
            continue
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        tell("stored", _surroundings() == before)


def _surroundings() -> list[Any]:
    """Return what a method must leave as it was, for the next cell to run in this process."""
    threads = {thread.ident for thread in threading.enumerate() if not thread.daemon}
    return [threads, id(sys.stdout), id(sys.stderr), _cwd(), [_file(number) for number in range(3)]]


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _file(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino
