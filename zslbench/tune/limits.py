"""A limit on the time of a trial, which runs in the command's own process."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SOON = 1e-6  # seconds: 0 would mean no alarm
_LATE = 1e8  # three years; the system's timer refuses infinity and much more than this


class TooLong(BaseException):
    """A trial took longer than its limit.

    Examples
    --------
    >>> str(TooLong(2.5))
    'longer than the limit of 2.5 s; raise it with --trial-timeout'
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"longer than the limit of {seconds:g} s; raise it with --trial-timeout")


@contextmanager
def limited(seconds: float | None, end: float | None) -> Iterator[None]:
    """Raise :class:`TooLong` in the body at a time, in the main thread of a POSIX system.

    Python's own code is interrupted at once, a call of a compiled library when it returns.

    Parameters
    ----------
    seconds
        The limit, for the message; ``None`` for no limit.
    end
        The time at which it is reached, of :func:`time.monotonic`.
    """
    if seconds is None or end is None:
        yield
        return

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TooLong(seconds)

    start = time.monotonic()
    if start >= end:
        raise TooLong(seconds)
    before, (others, _) = signal.signal(signal.SIGALRM, late), signal.getitimer(signal.ITIMER_REAL)
    try:  # from here on: the alarm may come at once
        signal.setitimer(signal.ITIMER_REAL, min(end - start, _LATE))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if others:  # seconds to an alarm of the caller's
            signal.setitimer(signal.ITIMER_REAL, max(others - (time.monotonic() - start), _SOON))
