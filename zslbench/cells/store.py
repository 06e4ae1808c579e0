"""Store cells, one directory per cell, each written under a temporary name and renamed.

``cells/<id>/`` contains ``cell.json``, ``result.json``, ``environment.json``, ``log.txt``, ``SHA256SUMS`` of all files
and, if there are any, predictions, scores, ids of training videos, and ``error.json`` with ``traceback.txt``.
``models/<id>/`` contains a saved model. A directory whose name starts with a dot was never finished and is never read.
``index.sqlite`` is a cache of the cells (:mod:`zslbench.cells._index`).

``reruns/`` is the results folder of failed reruns of finished cells: a failure never replaces a finished cell.

``imported/NAME/`` is the results folder of an imported bundle (:mod:`zslbench.bundles`). Its cells are read like the
folder's own, with their origin.

A cell is read only if its id is that of its folder and content, and no file is missing. ``cell.json``, ``result.json``,
``environment.json`` and the predictions must match their checksums, and the result must not contradict itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock

from zslbench.cells._agreement import contradiction
from zslbench.cells._index import (
    ENVIRONMENT,
    IndexRow,
    index_row,
    read_index,
    stamp_of,
    without_garbage_collection,
    write_index,
)
from zslbench.cells._parsing import read_part
from zslbench.cells._sums import check_content, read_sums, write_sums
from zslbench.cells.cell import ERROR, PREDICTIONS, SCORES, SUMS, TRACEBACK, Cell, KeptScores, Result, State
from zslbench.cells.per_video import write_predictions, write_scores, write_training
from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.files import UNFINISHED, new_directory

NO_MODEL = "no_model"  # the note of a cell whose method defines no state(): its model is never missing
NO_MODEL_SAYS = "no model is kept"  # the beginning of the warning of a cell without a model
MODEL_CARD = "model.json"
_STALE_SECONDS = 24 * 3600
IMPORTED, RERUNS = "imported", "reruns"
CARD_FILE = "bundle.json"  # of an imported bundle
INDEX = "index.sqlite"


@dataclass(frozen=True)
class Record:
    """A stored cell and its result; ``origin`` is the imported bundle that it is from, or empty.

    Examples
    --------
    >>> for record in Store(Path("results/runs")).records():
    ...     print(record.cell.title, record.result.metrics)
    """

    cell: Cell
    result: Result
    origin: str = ""


@dataclass(frozen=True)
class Unreadable:
    """A stored cell that cannot be read, and why.

    Examples
    --------
    >>> for cell in Store(Path("results/runs")).scan()[1]:
    ...     print(cell.id, cell.reason)
    """

    id: str
    reason: str


class Store:
    """The results folder.

    Parameters
    ----------
    root
        The folder, which may not exist; reading needs no permission to write. A relative path counts from the working
        directory of now, whatever a method changes later.
    keep_models
        Whether to save the models of cells that run.
    keep_scores
        The type in which all scores of cells that run are kept; ``None`` keeps those of the best five classes.

    Examples
    --------
    >>> store = Store(Path("runs"))
    >>> store.prepare()
    >>> list(store.records())
    []
    """

    def __init__(self, root: Path, *, keep_models: bool = False, keep_scores: KeptScores | None = None) -> None:
        self.root = root.absolute()
        self.keep_models = keep_models
        self.keep_scores = keep_scores
        self.cells = self.root / "cells"
        self.models = self.root / "models"
        self.locks = self.root / "locks"
        self.imported = self.root / IMPORTED
        self._matching: dict[str, str] = {}  # id -> stamp of a cell whose predictions match their checksum

    @property
    def keep(self) -> dict[str, Any]:
        """What is kept of a cell besides its result, as arguments for a store in another process."""
        return {"keep_models": self.keep_models, "keep_scores": self.keep_scores}

    @property
    def reruns(self) -> Store:
        """The store of failed reruns; each is newer than the finished cell that it did not replace."""
        return Store(self.root / RERUNS)

    def prepare(self) -> None:
        """Make the folder, check that it can be written, and delete the rests of runs killed a day ago or earlier.

        Raises
        ------
        ZslbenchError
            The folder cannot be written.
        """
        root = self.root
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            self.locks.mkdir(exist_ok=True)
            probe = self.cells / f"{UNFINISHED}probe-{uuid.uuid4().hex}"
            probe.mkdir()
            probe.rmdir()
            places = root, self.cells, self.models, self.imported, self.reruns.cells
            left_behind = [path for folder in places for path in folder.glob(f"{UNFINISHED}*")]
            left_behind += self.locks.iterdir()
        except OSError as error:
            raise ZslbenchError(
                f"the results folder {root} cannot be written ({error.strerror}); choose another with --results."
            ) from error
        for left in left_behind:
            with contextlib.suppress(OSError):  # another run finished it in the meantime
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    def path(self, cell_id: str) -> Path:
        """Return the directory of a cell, which may not exist."""
        return self.cells / cell_id

    def source(self, record: Record) -> Store:
        """Return the store that has a record's files: this one, or that of its bundle."""
        return Store(self.imported / record.origin) if record.origin else self

    def folder(self, record: Record) -> Path:
        """Return the directory of a record's cell."""
        return self.source(record).path(record.cell.id)

    def error_path(self, cell_id: str) -> Path:
        """Return the file to read after a failure: the traceback, or the error of a process that left none."""
        rerun = self.reruns.path(cell_id)  # there only if an earlier result was kept
        folder = rerun if rerun.is_dir() else self.path(cell_id)
        return folder / (TRACEBACK if (folder / TRACEBACK).is_file() else ERROR)

    def model_path(self, model_id: str) -> Path:
        """Return the folder of a saved model, which may not exist."""
        return self.models / model_id

    def has_model(self, model_id: str) -> bool:
        """Return whether a model is saved."""
        return (self.model_path(model_id) / MODEL_CARD).is_file()

    def lacks_model(self, cell_id: str) -> bool:
        """Return whether a stored cell has no saved model although its method can have one."""
        return not self.has_model(cell_id) and NO_MODEL not in self.read(cell_id).result.notes

    def lacks_scores(self, cell_id: str) -> bool:
        """Return whether a stored cell has no file of all scores."""
        return not (self.path(cell_id) / SCORES).is_file()

    def lock(self, name: str) -> BaseFileLock:
        """Return a lock that runs share, not yet acquired; the operating system releases that of a killed process."""
        return FileLock(self.locks / name, thread_local=False)

    def stamp(self, cell_id: str) -> str | None:
        """Return a text that changes whenever the cell or a failed rerun is stored; ``None`` if neither is."""
        stamp = None
        for folder in (self.path(cell_id), self.reruns.path(cell_id)):
            with contextlib.suppress(OSError):
                found = folder.stat()
                stamp = f"{stamp or ''} {found.st_ino} {found.st_mtime_ns}"
        return stamp

    def discard_unfinished(self, cell_id: str) -> None:
        """Delete what a killed process left while it stored a cell; only for the holder of the cell's lock."""
        for folder in (self.cells, self.models, self.reruns.cells):
            with contextlib.suppress(FileNotFoundError):  # somebody has just deleted the folder
                for left in folder.glob(f"{UNFINISHED}*-{cell_id}"):
                    shutil.rmtree(left, ignore_errors=True)

    def write(
        self, cell: Cell, result: Result, *, environment: Mapping[str, Any] | None = None, log: str = "",
        predictions: Any = None, scores: Any = None, training: Sequence[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        """Write a cell's directory, completely or not at all; replace an earlier one, but no finished by a failed one.

        The latter goes to :attr:`reruns`.

        Parameters
        ----------
        cell, result
            The cell and its result.
        environment
            Versions and hardware.
        log
            The log of the method and its libraries.
        predictions
            A :class:`pyarrow.Table`, or ``None``.
        scores
            All scores, (n_videos, n_classes), or ``None``; kept as :attr:`keep_scores` says. Scores out of its range
            are kept in the next wider type.
        training
            The training videos with their classes, if a list or a draw chose them.
        """
        if result.state is not State.DONE and self.state(cell.id) is State.DONE:
            self.reruns.write(cell, result, environment=environment, log=log)
            return
        with new_directory(self.path(cell.id), replace=True) as folder:
            if predictions is not None:
                write_predictions(folder, predictions)
            if scores is not None and self.keep_scores:
                write_scores(folder, scores, self.keep_scores)
            if training:
                write_training(folder, training)
            (folder / "cell.json").write_text(cell.model_dump_json(indent=1), encoding="utf-8")
            (folder / ENVIRONMENT).write_text(json.dumps(environment or {}, indent=1), encoding="utf-8")
            (folder / "log.txt").write_text(log, encoding="utf-8", errors="backslashreplace")
            if result.failure:
                (folder / ERROR).write_text(result.failure.model_dump_json(indent=1), encoding="utf-8")
                if result.failure.traceback:
                    (folder / TRACEBACK).write_text(result.failure.traceback, encoding="utf-8")
            (folder / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
            write_sums(folder)
        shutil.rmtree(self.reruns.path(cell.id), ignore_errors=True)

    def environment(self, cell_id: str) -> dict[str, Any]:
        """Return the environment that a cell recorded; empty if it cannot be read."""
        try:
            content = json.loads((self.path(cell_id) / ENVIRONMENT).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def find(self, cell_id: str) -> Record | Unreadable | None:
        """Return a stored cell, or why it cannot be read, or ``None`` if it is not stored."""
        folder = self.path(cell_id)
        while before := _identity(folder):
            try:
                return self._checked(cell_id)
            except (ZslbenchError, OSError) as error:
                if _identity(folder) == before:  # otherwise another run has just replaced it
                    return Unreadable(cell_id, str(error))
        return None

    def newest(self, cell_id: str) -> Record | Unreadable | None:
        """Return how a cell ended when it last ran, as :meth:`find` does: its failed rerun, or the stored cell."""
        return self.reruns.find(cell_id) or self.find(cell_id)

    def _checked(self, cell_id: str) -> Record:
        """Return a stored cell.

        Raises
        ------
        ZslbenchError
            It is damaged, or contradicts itself; the message is the reason in a few words.
        """
        folder = self.path(cell_id)
        stamp = stamp_of(str(folder))
        sums = read_sums(folder)
        record = Record(read_part(Cell, folder / "cell.json", sums), read_part(Result, folder / "result.json", sums))
        if record.cell.id != cell_id:
            raise ZslbenchError(f"cell.json describes the cell {record.cell.id}")
        if reason := contradiction(record.cell, record.result):
            raise ZslbenchError(f"result.json contradicts itself: {reason}")
        if missing := sorted(sums.keys() - set(os.listdir(folder))):  # noqa: PTH208 - iterdir() takes twice the time
            raise ZslbenchError(f"{missing[0]} is missing")
        check_content(ENVIRONMENT, (folder / ENVIRONMENT).read_bytes(), sums)  # the audit counts what it says
        # The predictions are read only if their size or time has changed: they are larger than all the rest.
        if PREDICTIONS in sums and self._matching.get(cell_id) != stamp:
            if file_sha256(folder / PREDICTIONS) != sums[PREDICTIONS]:
                raise ZslbenchError(f"{PREDICTIONS} does not match {SUMS}")
            self._matching[cell_id] = stamp
        return record

    def read(self, cell_id: str) -> Record:
        """Return one stored cell.

        Raises
        ------
        ZslbenchError
            The directory does not exist, is damaged or was changed.
        """
        found = self.find(cell_id)
        if isinstance(found, Record):
            return found
        why = found.reason if found else "it does not exist"
        raise ZslbenchError(f"{self.path(cell_id)} is not a readable cell ({why}); delete it, and run the cell again.")

    def state(self, cell_id: str) -> State | None:
        """Return how a cell ended, or ``None`` if it is not stored or cannot be read."""
        found = self.find(cell_id)
        return found.result.state if isinstance(found, Record) else None

    def unreadable(self, cell_ids: Iterable[str]) -> list[Unreadable]:
        """Return those of the given cells that are stored but cannot be read."""
        return [found for cell_id in cell_ids if isinstance(found := self.find(cell_id), Unreadable)]

    def records(self) -> list[Record]:
        """Return every stored cell that can be read, as :meth:`scan` does."""
        return self.scan()[0]

    def bundles(self) -> dict[str, Store]:
        """Return the store of each imported bundle, by name."""
        names = [name for name in _names(self.imported) if (self.imported / name).is_dir()]
        return {name: Store(self.imported / name) for name in names}

    def scan(self) -> tuple[list[Record], list[Unreadable]]:
        """Return every stored cell, without epochs and tracebacks, and those that cannot be read.

        The folder's own cells come first, then those of each imported bundle; each sorted by id.
        """
        records, unreadable = self.scan_own()
        for name, bundle in self.bundles().items():
            theirs, damaged = bundle.scan_own()
            records += [replace(record, origin=name) for record in theirs]
            unreadable += [replace(each, reason=f"of the bundle {name}: {each.reason}") for each in damaged]
        return records, unreadable

    def scan_own(self) -> tuple[list[Record], list[Unreadable]]:
        """Return what :meth:`scan` does, without imported bundles.

        Cells are read from the index if it is up to date for them; otherwise it is updated.
        """
        known = read_index(self.root / INDEX)
        rows: list[IndexRow] = []
        records, unreadable = [], []
        with without_garbage_collection():
            for name in self.names():
                stamp = stamp_of(f"{self.cells}/{name}")
                row = known.get(name)
                if row and (known_cell := row.parsed(stamp)):
                    record = Record(*known_cell)
                else:
                    found = self.find(name)
                    if not isinstance(found, Record):
                        unreadable += [found] if found else []
                        continue
                    record = Record(found.cell, brief(found.result))
                    row = index_row(record.cell, record.result, stamp)
                rows.append(row)
                records.append(record)
        if rows != list(known.values()):
            write_index(self.root / INDEX, rows)
        return records, unreadable

    def names(self) -> list[str]:
        """Return the sorted names of the cells' directories; names with a dot were never finished."""
        return _names(self.cells)


def _names(folder: Path) -> list[str]:
    """Return the sorted names in a folder that may not exist; names with a dot were never finished."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _identity(folder: Path) -> tuple[int, int, int] | None:
    """Return what tells the directory that has this name now from another one, or ``None``.

    The times belong to it: the inode of a directory that was replaced and deleted is soon another one's.
    """
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_ctime_ns) if stat.S_ISDIR(found.st_mode) else None


def brief(result: Result) -> Result:
    """Return a result without its long parts that no table shows."""
    failure = result.failure and result.failure.model_copy(update={"traceback": ""})
    return result.model_copy(update={"epochs": [], "failure": failure})
