"""Ctrl-C: the first stops the work cleanly; the next ends the process at once, which loses no more than SIGKILL."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import NoReturn

import click

from zslbench.cli._output import echo

STOPPED = 130  # what shells report for a process that Ctrl-C ended: 128 + SIGINT


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let a second Ctrl-C end the process, within a block; else it would break the cleaning up with a traceback."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, or handled by the caller
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _stop:  # nothing was stopped
            signal.signal(signal.SIGINT, signal.default_int_handler)


def tell_stopped(error: BaseException) -> int:
    """Print once that the work was stopped, with what the verb says of it; return the exit code."""
    kept = str(error.__cause__ or "") if isinstance(error, click.Abort) else str(error)
    echo(f"zslbench: stopped: {kept}" if kept else "zslbench: stopped.", err=True)
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, _end_silently)
    return STOPPED


def _stop(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGINT, _end)
    raise KeyboardInterrupt


def _end(number: int, frame: object) -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(2, b"\nzslbench: stopped at once.\n")
    _end_silently(number, frame)


def _end_silently(number: int, frame: object) -> NoReturn:
    os._exit(STOPPED)
