"""Keep the worker process of a run: start it, say how it ended, and end it with all that it started.

This process stands between a run and its worker. It imports no plugin and nothing heavy, so it always answers. When the
run dies, however that happens, the socket to it closes, and the worker ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

END = b"e"  # what the run sends to end the worker
ALIVE = b"alive\n"  # the answer if the worker did not end by itself
_SECONDS_TO_EXIT = 1.0
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)


def keep(control: socket.socket) -> None:
    """Start a worker for each connection that arrives, one at a time, until the run is over.

    Parameters
    ----------
    control
        A socket to the run. It brings the worker's connection and :data:`END`. The worker's exit code goes back, or
        :data:`ALIVE` if it had to be killed.
    """
    alarm, ring = os.pipe()
    os.set_blocking(alarm, False)
    os.set_blocking(ring, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ring)
    _prctl(_SET_CHILD_SUBREAPER, 1)  # processes that the worker leaves behind become children of this one
    while True:
        message, handles, *_ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if not handles:
            continue  # an END that crossed with the worker's own end
        worker = os.fork()
        if not worker:
            control.close()
            _become_worker(handles[0])
        os.close(handles[0])
        asked = _wait(worker, [control, alarm], None)
        over = asked and not control.recv(1)
        # The connection of a worker closes a moment before its end, so the run may ask when nothing is to be done.
        alive = asked and (over or _wait(worker, [alarm], _SECONDS_TO_EXIT))
        code = _end(worker)
        if over:
            return
        control.sendall(ALIVE if alive else b"%d\n" % code)


def _wait(worker: int, sources: list[Any], seconds: float | None) -> bool:
    """Wait until the worker has ended; return whether something else came first: a message, or the end of the time."""
    while not os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT | os.WNOHANG):
        ready, _, _ = select.select(sources, [], [], seconds)
        if ready != sources[-1:]:
            return True
        os.read(sources[-1], 4096)
    return False


def _end(worker: int) -> int:
    """Kill the worker and everything that it started; return its exit code, or the negative number of its signal."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    spared: set[int] = set()  # processes of another user
    while left := _children() - spared:  # those with a group of their own; their children come here when they die
        for child in left:
            try:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            except OSError:
                spared.add(child)
    return code


def _children() -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}
    except OSError:  # not Linux
        return set()


def _become_worker(handle: int) -> None:
    try:
        os.setpgid(0, 0)
        _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        from zslbench.run._worker import work

        work(Connection(handle))
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        os._exit(code)  # threads that a method left would keep the process from ending


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
