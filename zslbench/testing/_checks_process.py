"""Checks of what a method does to the process around it: global state, output, memory."""

from __future__ import annotations

import contextlib
import io
import os
import random
import tempfile
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from zslbench.method import Report
from zslbench.testing._check import Subject, check, require
from zslbench.videos import FloatArray, FrameStore, IntArray, storage

_VARIABLES = ("CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG")
_ODD = 86_028_121  # a seed that nobody else uses
_SHARE = 4  # score() may hold a quarter of a large set's frames at a time
_MANY = 500  # videos a class of that set


def _variables() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k in _VARIABLES or k.endswith("_NUM_THREADS")}


def _set_variables(values: dict[str, str]) -> None:
    for name in _variables().keys() - values.keys():
        del os.environ[name]
    os.environ.update(values)


def _globals() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Any]]:
    """Return what is watched: its name -> how to read it, how to set it, and what it is set to before.

    The latter matters: whatever an earlier fit set for good would be set once more and not be noticed.
    """
    # Some libraries set variables when they are imported: that is no doing of the method.
    import sklearn  # noqa: F401
    import torch

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
        "environment variables of threads and devices": (
            _variables,
            _set_variables,
            {"OMP_NUM_THREADS": "3", **{k: v for k, v in _variables().items() if k.startswith("CUDA_VISIBLE")}},
        ),
        "the working directory": (os.getcwd, os.chdir, tempfile.gettempdir()),
    }


@check
def check_global_state(subject: Subject) -> None:
    """Change no global seed, thread count, dtype, warning filter or environment variable.

    Other cells run in the same process. Use generators of your own instead of ``torch.manual_seed`` and
    ``numpy.random.seed``, ``with warnings.catch_warnings()``, ``with threadpoolctl.threadpool_limits(...)``,
    ``with torch.no_grad()``; leave ``torch.set_num_threads`` alone.
    """
    watched, task = _globals(), subject.task()
    found = {what: read() for what, (read, _, _) in watched.items()}
    try:
        with warnings.catch_warnings():
            for _, write, start in watched.values():
                write(start)
            before = {what: repr(read()) for what, (read, _, _) in watched.items()}
            subject.scores(task)
            changed = [what for what, (read, _, _) in watched.items() if repr(read()) != before[what]]
            # The first fit may import libraries, and these set filters; the second one imports nothing.
            warnings.simplefilter("ignore")
            filters = list(warnings.filters)
            subject.scores(task)
            if list(warnings.filters) != filters:
                changed.append("the warning filters")
    finally:
        for what, (_, write, _) in watched.items():
            write(found[what])
    require(not changed, f"fit() or score() changed {', '.join(changed)}; use objects of your own.")


@check
def check_silence(subject: Subject) -> None:
    """Print nothing.

    Tell progress by ``report.progress(done, total)``, metrics by ``report.epoch(loss=...)``, choices by
    ``report.note(...)`` and worries by ``report.warn(...)``: they are kept with the result. Hand ``verbose=0`` to
    libraries.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python writes these to stderr
        subject.scores(subject.task())
    printed = (out.getvalue() + err.getvalue()).strip()
    require(not printed, f"fit() or score() prints {printed[:80]!r}; tell it to the report.")


class _Listening(Report):
    """A report that keeps what it was told of progress."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, float]] = []

    def progress(self, done: float, total: float, what: str = "") -> None:
        self.told.append((done, total))


@check
def check_progress(subject: Subject) -> None:
    """Tell progress that ends: ``done`` is never below 0 and never above ``total``.

    Look at the calls of ``report.progress(done, total, what)``; a fit that is over at once need not call it.
    """
    report = _Listening()
    subject.fit(subject.task(), report=report)
    wrong = [(done, total) for done, total in report.told if not 0 <= done <= total * (1 + 1e-9)]
    require(not wrong, f"report.progress() is told {wrong[:1]}: (done, total) with done outside 0..total.")


class _CountingStore(FrameStore):
    """A store that knows how many of the frames that it handed out are still held by somebody."""

    def __init__(self, frames: Any, offsets: IntArray, lengths: IntArray) -> None:
        super().__init__(frames, offsets, lengths)
        self.held = self.most = 0

    def pooled(self) -> FloatArray:
        most = self.most
        result = super().pooled()  # it reads in blocks of its own
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
    """Hold the frames of a batch of test videos at a time, never those of all of them.

    Feature sets are larger than memory. Go through ``videos.batches(size)`` and keep what you computed, not the
    frames; ``videos.pooled()`` is free, for it is read in blocks and shared. Of a set of 2,500 videos, a quarter may
    be held at once.
    """
    task = subject.task(per_class=(6,) * 8 + (_MANY,) * 5, store=_CountingStore)
    method = subject.fit(task)
    store = storage(task.test).store
    assert isinstance(store, _CountingStore)  # noqa: S101  (for the type checker)
    store.most = store.held
    method.score(task.test, task.test_classes)
    frames = int(task.test.lengths.sum())
    require(
        store.most <= frames / _SHARE,
        f"score() holds {store.most:,} of {frames:,} frames at once; use videos.batches(64) and drop each batch.",
    )
