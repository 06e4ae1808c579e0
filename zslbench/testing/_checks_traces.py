"""Checks of what a method leaves behind: in the harness, in the system, and on disk."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from zslbench.files import data_root
from zslbench.testing._cell import cell_predictions
from zslbench.testing._check import CheckSkipped, Subject, check, require
from zslbench.testing._harness import foreign, harness_parts, replaced

_GRACE_SECONDS = 0.5  # for threads and processes that are ending
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of children become children


@check
def check_harness_unchanged(subject: Subject) -> None:
    """Replace no function, class or constant of zslbench, of another method or of Python's foundations.

    Other methods' figures are computed in the same process. Look for assignments to attributes of imported modules and
    classes, for ``setattr`` and ``mock.patch``. Subclass what you want to change, or copy it into your own package.
    """
    package = subject.method.__module__.partition(".")[0]
    at_import = [] if package.startswith("zslbench") else foreign(package)
    require(
        not at_import,
        f"{package} replaced {', '.join(at_import[:5])} when it was imported; leave the harness as it is.",
    )
    before = harness_parts()
    try:
        subject.scores(subject.task())
    finally:
        changed = replaced(before)
    require(not changed, f"fit() or score() replaced {', '.join(changed[:5])}; leave the harness as it is.")


@check
def check_nothing_left_running(subject: Subject) -> None:
    """Leave no thread and no process behind.

    They take time and memory from the next method, and can change it. Close executors, pools and data loaders with
    ``with``, and join threads, before ``fit()`` and ``score()`` return.
    """
    import sklearn  # noqa: F401  - some libraries start a thread when they are imported, which is not the method's fault
    import torch  # noqa: F401

    with _adopting_orphans():
        threads, processes = set(sys._current_frames()), _children()  # noqa: SLF001 - _thread's threads too
        try:
            subject.scores(subject.task())
        finally:
            ends = time.monotonic() + _GRACE_SECONDS
            while (left := (set(sys._current_frames()) - threads, _children() - processes)) != (set(), set()):  # noqa: SLF001
                if time.monotonic() > ends:
                    break
                time.sleep(0.01)
            for child in left[1]:
                with contextlib.suppress(psutil.Error):
                    child.kill()
                    child.wait(_GRACE_SECONDS)
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    what = [f"the thread {names.get(ident, ident)}" for ident in left[0]] + [f"the process {c.pid}" for c in left[1]]
    require(not what, f"fit() or score() left {', '.join(what)} running; end it before returning.")


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@contextlib.contextmanager
def _adopting_orphans() -> Iterator[None]:
    """On Linux, let processes whose parent ends become children of this one, so that they are seen."""
    if not sys.platform.startswith("linux"):
        yield
        return
    control = ctypes.CDLL(None).prctl
    control(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        control(_SUBREAPER, 0, 0, 0, 0)


class _Opened:
    """The files below some folders that are opened or listed while ``watching``.

    Python reports what it opens itself. What libraries in C or other processes read in the first folder is seen by the
    time of access, where the file system keeps it.
    """

    def __init__(self, *roots: Path) -> None:
        self.roots = [root.absolute() for root in roots]
        self.found: set[str] = set()
        self.watching = False

    def heard(self, event: str, path: object) -> None:
        """Handle an audit event of Python."""
        if self.watching and event in _EVENTS and isinstance(path, str | bytes | os.PathLike):
            # absolute() and not resolve(), which would itself read the disk
            whole = Path(os.fsdecode(path)).absolute()
            if any(whole.is_relative_to(root) for root in self.roots):
                self.found.add(whole.name)

    def switch(self, on: bool) -> None:
        """Start or stop watching."""
        if self.watching:
            self.watching = False
            self.found |= {file.name for file in self._files() if file.stat().st_atime_ns > _LONG_AGO}
        if on:
            for file in self._files():
                os.utime(file, ns=(_LONG_AGO, file.stat().st_mtime_ns))
        self.watching = on

    def _files(self) -> list[Path]:
        return [file for file in self.roots[0].rglob("*") if file.is_file()]

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, with watching on while it runs."""

        def watched(*arguments: Any, **more: Any) -> Any:
            before = self.watching
            self.switch(True)
            try:
                return function(*arguments, **more)
            finally:
                self.switch(before)

        return watched


_EVENTS = ("open", "os.listdir", "os.scandir", "sqlite3.connect")
_LONG_AGO = 1_000_000_000  # 1970, in ns: file systems note an access if the last one was before the last change
_listeners: list[_Opened] = []


@cache
def _listen() -> None:
    """Add the hook once: Python cannot remove one."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        for listener in _listeners:
            listener.heard(event, arguments[0] if arguments else None)

    sys.addaudithook(hook)


@check
def check_no_files_read(subject: Subject) -> None:
    """Read nothing from the data root: features, labels and class vectors come as arguments.

    The files of a feature set have the labels of the test videos. Look for ``open_features``, ``open_semantics``,
    ``open()`` and ``numpy.load`` in ``fit()`` and ``score()``. Read files that your package ships with
    ``importlib.resources``.
    """
    if subject.method.__module__ == "__main__":
        raise CheckSkipped("a run only accepts methods of a module, but this one is defined in __main__")
    _listen()
    with tempfile.TemporaryDirectory() as folder:
        opened = _Opened(Path(folder), data_root())
        _listeners.append(opened)
        watched: dict[str, Any] = {name: opened.around(getattr(subject.method, name)) for name in ("fit", "score")}
        try:
            with mock.patch.multiple(subject.method, **watched):
                cell_predictions(subject, subject.cell_task(), Path(folder))
        finally:
            _listeners.remove(opened)
    names = ", ".join(sorted(opened.found)[:5])
    require(not opened.found, f"fit() or score() reads {names} in the data root; use the arguments instead.")
