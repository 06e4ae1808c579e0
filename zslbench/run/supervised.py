"""Run cells in one worker process beside this one, and store a row for a cell that kills its process.

Plugins run in the worker only. :mod:`zslbench.run._keeper` stands between both processes and ends the worker when this
process dies. Between two cells the worker keeps what it has loaded, unless a method left its process changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection, wait
from typing import Any

from zslbench.cells.cell import Cell, Result, State
from zslbench.cells.store import Record, Store
from zslbench.compute import current_offer
from zslbench.errors import ZslbenchError
from zslbench.run._keeper import ALIVE, END
from zslbench.run.engine import Watcher, held, store_ended, unfinished
from zslbench.run.queue import CellQueue
from zslbench.run.runner import storable_text

SUPPORTED = hasattr(os, "fork")
_LONGEST_MESSAGE = 2**20
_KEPT_OUTPUT = 100_000  # bytes that the log of a killed cell ends with
_SECONDS_TO_END = 10.0
_NOBODY_SAW = "its process died together with the one that watched it"
_START = (
    "import json, socket, sys; start = json.loads(sys.argv[1]); sys.path[:], sys.argv[:] = start['path'], start['argv']"
    "; from zslbench.run._keeper import keep; keep(socket.socket(fileno=start['control']))"
)


def run_supervised(queue: CellQueue, watcher: Watcher, worker: Worker, *, apart: bool = False) -> None:
    """Run cells one after the other in a worker process; a cell that kills it becomes a row, and a new one starts.

    Parameters
    ----------
    worker
        Entered before: its process imports what it needs while this one prepares.
    apart
        Whether each method gets a worker of its own.

    Raises
    ------
    ZslbenchError
        The worker cannot store a cell.
    """
    if apart:
        queue.by_method()
    last = None
    for claim in unfinished(queue, watcher):
        if apart and last not in (None, claim.cell.method):
            worker.end()
        last = claim.cell.method
        with held(claim, queue.store):
            watcher.started(claim.cell)
            result = worker.run(claim.cell, queue.store, watcher)
        watcher.finished(claim.cell, result)


class Worker:
    """The worker process, seen from the run; it starts with the block, and again after its end.

    Examples
    --------
    >>> from pathlib import Path
    >>> with Worker() as worker:
    ...     run_supervised(CellQueue([], Store(Path("runs"))), Watcher(), worker)
    """

    def __init__(self) -> None:
        self._keeper: subprocess.Popen[bytes] | None = None
        self._channel: Connection | None = None
        self._said = b""  # what the method of this cell printed
        self._line = b""
        self._peak = 0

    def __enter__(self) -> Worker:
        self._output, self._printed = os.pipe()
        os.set_blocking(self._output, False)
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        os.close(self._printed)
        os.close(self._output)

    def start(self) -> None:
        """Start the process and its keeper, unless they run."""
        if self._keeper is None or self._keeper.poll() is not None:
            self._close()
            self._control, theirs = socket.socketpair()
            start = {"path": sys.path, "argv": sys.argv, "control": theirs.fileno()}
            with theirs:
                self._keeper = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-u", "-P", "-c", _START, json.dumps(start)],
                    stdin=subprocess.DEVNULL, stdout=self._printed, stderr=self._printed,
                    pass_fds=[theirs.fileno()], start_new_session=True,
                )  # fmt: skip
        if self._channel is None:
            ours, theirs = socket.socketpair()
            self._channel = Connection(ours.detach())
            with theirs:
                socket.send_fds(self._control, [b"s"], [theirs.fileno()])

    def _close(self) -> None:
        """End the keeper, which ends the worker."""
        if self._keeper is None:
            return
        self._control.close()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        try:
            self._keeper.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._keeper = None

    def end(self) -> str:
        """End the process and what it started; return how it ended."""
        if self._channel is None:
            return _NOBODY_SAW
        self._channel.close()
        self._channel = None
        try:
            self._control.sendall(END)
            answer = self._control.makefile("rb").readline()
        except OSError:
            return _NOBODY_SAW
        if answer == ALIVE:
            return "its process closed the connection to the run"
        return _how_it_ended(int(answer), self._peak) if answer else _NOBODY_SAW

    def run(self, cell: Cell, store: Store, watcher: Watcher) -> Result:
        """Run a cell; return the result that it stored, or that is stored for it."""
        started, before = time.time(), store.stamp(cell.id)
        self._said, self._line, self._peak = b"", b"", 0
        order = {"cell": cell.model_dump(mode="json"), "root": str(store.root), "keep": store.keep}
        order["device"] = current_offer().wanted
        why = self._follow(cell, json.dumps(order).encode(), watcher)
        self._read_output(watcher, last=True)
        if why is None:
            found = store.newest(cell.id)
            if isinstance(found, Record) and store.stamp(cell.id) != before:
                return found.result
            why = "its process said that the cell is stored, which it is not"
        log = self._said.decode("utf-8", "replace")
        return store_ended(cell, store, State.KILLED, why, started=started, peak=self._peak, log=log)

    def _follow(self, cell: Cell, order: bytes, watcher: Watcher) -> str | None:
        """Return ``None`` when the worker has stored the cell, or else how the worker ended."""
        try:
            self.start()
            assert self._channel is not None  # noqa: S101
            self._channel.send_bytes(order)
            while True:
                ready = wait([self._channel, self._output])
                if self._output in ready:
                    self._read_output(watcher)
                if self._channel in ready and (message := json.loads(self._channel.recv_bytes(_LONGEST_MESSAGE))):
                    if message[0] == "stored":
                        if not message[1]:
                            self.end()
                        return None
                    self._hear(cell, message, watcher)
        except (EOFError, OSError):
            return self.end()
        except (ValueError, TypeError, LookupError):
            self.end()
            return "its process sent to the run what is no message"

    def _hear(self, cell: Cell, message: list[Any], watcher: Watcher) -> None:
        kind, *rest = message
        if kind == "rss":
            self._peak = max(self._peak, int(rest[0]))
        elif kind == "progress":
            done, total, what = rest
            watcher.progress(cell.id, float(done), float(total), storable_text(str(what)))
        elif kind == "refused":
            raise ZslbenchError(str(rest[0]))

    def _read_output(self, watcher: Watcher, *, last: bool = False) -> None:
        """Pass complete lines on; at the end of a cell, all that is there."""
        with contextlib.suppress(BlockingIOError):
            while block := os.read(self._output, 2**16):
                self._said = (self._said + block)[-_KEPT_OUTPUT:]
                self._line += block
        lines, newline, self._line = self._line.rpartition(b"\n")
        if last:
            lines, newline, self._line = lines + newline + self._line, b"", b""
        for line in lines.decode("utf-8", "replace").splitlines():
            watcher.output(line)


def _how_it_ended(code: int, peak: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code} before the cell was done"
    name = signal.Signals(-code).name
    used = f"; it used {peak / 2**20:,.0f} MiB, and the system ends processes so when memory runs out"
    return f"its process was killed by {name}{used if -code == signal.SIGKILL else ''}"
