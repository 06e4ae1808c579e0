"""Checks of a method's effects on its process: global state, output, memory."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from zslbench.files import DATA_ROOT_VARIABLE
from zslbench.method import Report
from zslbench.testing._check import Subject, check, require
from zslbench.videos import FloatArray, FrameStore, IntArray, storage

_ODD = 86_028_121  # an unusual seed: a method that sets a common one would otherwise change nothing
_SHARE = 4  # score() may keep a quarter of a large set's frames in memory
_MANY = 500  # videos per class of that set


def _set_variables(values: dict[str, str]) -> None:
    for name in os.environ.keys() - values.keys():
        del os.environ[name]
    os.environ.update(values)


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def _hooks() -> dict[str, Any]:
    return {name: getattr(sys, name) for name in ("stdout", "stderr", "excepthook", "displayhook")}


def _set_hooks(values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(sys, name, value)


def _handlers() -> dict[int, Any]:
    return {int(number): signal.getsignal(number) for number in signal.valid_signals()}


def _set_handlers(values: dict[int, Any]) -> None:
    for number, handler in values.items():
        if handler is not None and signal.getsignal(number) is not handler:  # None: it was not set from Python
            signal.signal(number, handler)


def _globals() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Any]]:
    """Return name -> how to read a piece of global state, how to set it, and the value to set before the fit.

    Without setting it before, a value that an earlier fit has already set would not be noticed.
    """
    # Import these first: libraries set variables when they are imported, which is not the method's fault.
    import sklearn  # noqa: F401
    import torch

    odd = tempfile.gettempdir()
    return {
        "Python's random state": (random.getstate, random.setstate, random.Random(_ODD).getstate()),  # noqa: S311
        "numpy's global random state": (
            np.random.get_state,
            np.random.set_state,
            np.random.RandomState(_ODD).get_state(),
        ),
        "torch's global random state": (
            lambda: torch.get_rng_state().tolist(),
            lambda state: torch.set_rng_state(torch.tensor(state, dtype=torch.uint8)),
            torch.Generator().manual_seed(_ODD).get_state().tolist(),
        ),
        "torch's number of threads": (torch.get_num_threads, torch.set_num_threads, 3),
        "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        "torch's deterministic mode": (
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
            False,
        ),
        "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled, True),
        "numpy's error handling": (
            np.geterr,
            lambda state: np.seterr(**state),
            {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
        ),
        "environment variables": (
            lambda: dict(sorted(os.environ.items())),
            _set_variables,
            {**os.environ, "OMP_NUM_THREADS": "3", "HOME": odd, DATA_ROOT_VARIABLE: odd},
        ),
        "the umask": (_umask, os.umask, 0o077),
        "signal handlers": (_handlers, _set_handlers, _handlers()),
        "Python's search path": (
            lambda: list(sys.path),
            lambda paths: sys.path.__setitem__(slice(None), paths),
            sys.path[:],
        ),
        "Python's recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit, sys.getrecursionlimit() + 1),
        "Python's hooks": (_hooks, _set_hooks, _hooks()),
        "the working directory": (os.getcwd, os.chdir, odd),
    }


@check
def check_global_state(subject: Subject) -> None:
    """Change no global seed, thread count, dtype, warning filter, variable, folder, umask or signal handler.

    Other cells run in the same process. ``HOME`` and the data root are environment variables, too. Use a
    generator of your own instead of ``numpy.random.seed``, and ``with zslbench.torch_seed(self.seed)``, or
    ``torch.manual_seed`` inside ``with torch.random.fork_rng()``. Use ``with warnings.catch_warnings()``,
    ``with threadpoolctl.threadpool_limits(...)`` and ``with torch.no_grad()``. Do not call ``torch.set_num_threads``.
    """
    watched, task = _globals(), subject.task()
    found = {what: read() for what, (read, _, _) in watched.items()}
    try:
        with warnings.catch_warnings():
            for _, write, start in watched.values():
                write(start)
            # As text: random states are nested tuples of arrays, which == does not compare.
            before = {what: repr(read()) for what, (read, _, _) in watched.items()}
            subject.scores(task)
            changed = [what for what, (read, _, _) in watched.items() if repr(read()) != before[what]]
            # The first fit may import libraries, which set filters; the second fit imports nothing.
            warnings.simplefilter("ignore")
            filters = list(warnings.filters)
            subject.scores(task)
            if list(warnings.filters) != filters:
                changed.append("the warning filters")
    finally:
        for what, (_, write, _) in watched.items():
            write(found[what])
    require(not changed, f"fit() or score() changed {', '.join(changed)}; use your own objects or restore it.")


@check
def check_silence(subject: Subject) -> None:
    """Print nothing.

    Report progress with ``report.progress(done, total)``, metrics with ``report.epoch(loss=...)``, choices with
    ``report.note(...)`` and problems with ``report.warn(...)``. They are stored with the result. Pass ``verbose=0`` to
    libraries.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python prints warnings to stderr, which would count as output
        subject.scores(subject.task())
    printed = (out.getvalue() + err.getvalue()).strip()
    require(not printed, f"fit() or score() prints {printed[:80]!r}; use the report instead.")


class _Listening(Report):
    """A report that records all calls of ``progress``."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, float]] = []

    def progress(self, done: float, total: float, what: str = "") -> None:
        self.told.append((done, total))


@check
def check_progress(subject: Subject) -> None:
    """Report progress within its limits: ``done`` is never below 0 and never above ``total``.

    Look at the calls of ``report.progress(done, total, what)``. A short fit need not call it.
    """
    report = _Listening()
    subject.fit(subject.task(), report=report)
    wrong = [(done, total) for done, total in report.told if not 0 <= done <= total * (1 + 1e-9)]
    require(not wrong, f"report.progress() is called with {wrong[:1]}: (done, total) with done outside 0..total.")


class _CountingStore(FrameStore):
    """A store that counts the frames that it has returned and that are still in memory."""

    def __init__(self, frames: Any, offsets: IntArray, lengths: IntArray) -> None:
        super().__init__(frames, offsets, lengths)
        self.held = self.most = 0

    def pooled(self) -> FloatArray:
        most = self.most
        result = super().pooled()  # it reads in blocks, which do not count as the method's
        self.most = most
        return result

    def gather(self, rows: IntArray) -> FloatArray:
        result = super().gather(rows)
        self.held += len(result)
        self.most = max(self.most, self.held)
        weakref.finalize(result, self._release_frames, len(result))
        return result

    def _release_frames(self, count: int) -> None:
        self.held -= count


@check
def check_memory(subject: Subject) -> None:
    """Keep the frames of one batch of test videos in memory at a time, never those of all videos.

    Feature sets are larger than memory. Loop over ``videos.batches(size)`` and keep the results, not the frames.
    ``videos.pooled()`` costs nothing, because it is read in blocks and shared. The check uses 2,500 videos; at most a
    quarter of their frames may be in memory at the same time.
    """
    task = subject.task(per_class=(6,) * 8 + (_MANY,) * 5, store=_CountingStore)
    method = subject.fit(task)
    store = storage(task.test).store
    assert isinstance(store, _CountingStore)  # noqa: S101  (for the type checker)
    store.most = store.held  # the check is of score() only; frames that the fit keeps still count
    method.score(task.test, task.test_classes)
    frames = int(task.test.lengths.sum())
    require(
        store.most <= frames / _SHARE,
        f"score() keeps {store.most:,} of {frames:,} frames in memory; use videos.batches(64) and drop each batch.",
    )
