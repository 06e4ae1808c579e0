"""Loaded by local Dask workers: Ctrl-C at a terminal reaches them too, but the command alone decides what stops."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ignore SIGINT; the worker ends with its nanny."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
