"""The store: one directory a cell, written under a temporary name and renamed; an index that can be thrown away.

``cells/<id>/`` holds ``cell.json``, ``result.json``, ``environment.json``, ``log.txt`` and, where there are any,
``predictions.parquet`` and ``error.json``; ``models/<id>/`` holds what the method learnt, where that is kept. A
directory whose name starts with a dot was never finished and is never read. ``index.jsonl`` caches what the leaderboard
needs; it is checked against the directories' times each time.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from zslbench.cells.cell import Auxiliary, Cell, ClassCounts, Failure, Result, State
from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.files import UNFINISHED, new_directory

NO_MODEL = "no_model"  # the note of a cell whose method defines no state(): its model is never missing
NO_MODEL_SAYS = "no model is kept"  # how the warning of a cell without one begins
MODEL_CARD = "model.json"
_STALE_SECONDS = 24 * 3600
_SCHEMA = digest([sorted(model.model_fields) for model in (Cell, Auxiliary, Result, ClassCounts, Failure)])[:8]


@dataclass(frozen=True)
class Record:
    """A stored cell and its result."""

    cell: Cell
    result: Result


class Store:
    """The results folder.

    Parameters
    ----------
    root
        Need not exist; reading needs no permission to write.
    keep_models
        Whether cells that run leave their models here.
    """

    def __init__(self, root: Path, *, keep_models: bool = False) -> None:
        self.root = root
        self.keep_models = keep_models
        self.cells = root / "cells"
        self.models = root / "models"

    def prepare(self) -> None:
        """Make the folder, see that it can be written, and sweep away what killed runs left a day ago or earlier.

        Raises
        ------
        ZslbenchError
            It cannot be written.
        """
        root = self.root
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            probe = self.cells / f"{UNFINISHED}probe-{uuid.uuid4().hex}"
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise ZslbenchError(
                f"the results folder {root} cannot be written ({error.strerror}); choose another with --results."
            ) from error
        for left in [*self.cells.glob(f"{UNFINISHED}*"), *self.models.glob(f"{UNFINISHED}*")]:
            with contextlib.suppress(FileNotFoundError):  # another run finished it meanwhile
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)

    def path(self, cell_id: str) -> Path:
        """Return the directory of a cell, whether it exists or not."""
        return self.cells / cell_id

    def model_path(self, model_id: str) -> Path:
        """Return the folder of a saved model, whether it exists or not."""
        return self.models / model_id

    def has_model(self, model_id: str) -> bool:
        """Return whether a model of that id is saved."""
        return (self.model_path(model_id) / MODEL_CARD).is_file()

    def lacks_model(self, cell_id: str) -> bool:
        """Return whether a stored cell has no saved model although its method can have one."""
        return not self.has_model(cell_id) and NO_MODEL not in self.read(cell_id).result.notes

    def write(
        self, cell: Cell, result: Result, *, environment: Mapping[str, Any] | None = None, log: str = "",
        predictions: Any = None,
    ) -> None:  # fmt: skip
        """Write a cell's directory, whole or not at all, in place of an earlier one.

        Parameters
        ----------
        cell, result
            What was run and what came of it.
        environment
            Versions and hardware.
        log
            What the method and libraries logged.
        predictions
            A :class:`pyarrow.Table`, or ``None``.
        """
        with new_directory(self.path(cell.id), replace=True) as folder:
            if predictions is not None:
                import pyarrow.parquet as pq

                pq.write_table(predictions, folder / "predictions.parquet", compression="zstd")
            (folder / "cell.json").write_text(cell.model_dump_json(indent=1), encoding="utf-8")
            (folder / "environment.json").write_text(json.dumps(environment or {}, indent=1), encoding="utf-8")
            (folder / "log.txt").write_text(log, encoding="utf-8")
            if result.failure:
                (folder / "error.json").write_text(result.failure.model_dump_json(indent=1), encoding="utf-8")
            (folder / "result.json").write_text(result.model_dump_json(), encoding="utf-8")

    def read(self, cell_id: str) -> Record:
        """Return one stored cell.

        Raises
        ------
        ZslbenchError
            The directory is absent or was tampered with.
        """
        folder = self.path(cell_id)
        try:
            return Record(
                Cell.model_validate_json((folder / "cell.json").read_text(encoding="utf-8")),
                Result.model_validate_json((folder / "result.json").read_text(encoding="utf-8")),
            )
        except (OSError, ValidationError) as error:
            raise ZslbenchError(f"{folder} is no readable cell; delete it and run again.") from error

    def state(self, cell_id: str) -> State | None:
        """Return how a cell ended, or ``None`` where it is not stored."""
        try:
            result = json.loads((self.path(cell_id) / "result.json").read_text(encoding="utf-8"))
            return State(result["state"])
        except (OSError, ValueError, KeyError):
            return None

    def records(self) -> Iterator[Record]:
        """Yield every stored cell, through the index; unreadable directories are left out."""
        index = self._read_index()
        fresh: dict[str, str] = {}
        changed = False
        found = sorted(self._finished()) if self.cells.is_dir() else []
        for name, mtime in found:
            line = index.get((name, mtime))
            if line is None:
                changed = True
                try:
                    record = self.read(name)
                except ZslbenchError:
                    continue
                line = _index_line(name, mtime, record)
            fresh[name] = line
        if changed or len(fresh) != len(index):
            self._write_index(fresh)
        with _without_garbage_collection():
            shared: dict[str, Any] = {}
            records = [_from_index(line, shared) for line in fresh.values()]
        yield from records

    def _finished(self) -> Iterator[tuple[str, int]]:
        """Yield the name and time of every finished cell's directory."""
        with os.scandir(self.cells) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another run is just replacing it
                    if not entry.name.startswith("."):
                        yield entry.name, entry.stat().st_mtime_ns

    def _read_index(self) -> dict[tuple[str, int], str]:
        try:
            # Not splitlines(): a message may hold other characters that Unicode takes for ends of lines.
            lines = (self.root / "index.jsonl").read_bytes().decode().split("\n")
        except (OSError, UnicodeDecodeError):
            return {}
        index = {}
        for line in lines:
            key, _, _ = line.partition("\t")
            name, _, mtime = key.partition(" ")
            if mtime.isdigit() and line.endswith(f"}}\t{_SCHEMA}") and line.count("\t") == 3:
                index[name, int(mtime)] = line
        return index

    def _write_index(self, lines: Mapping[str, str]) -> None:
        temporary = self.root / f"{UNFINISHED}index-{os.getpid()}"
        try:
            temporary.write_text("".join(f"{line}\n" for line in lines.values()), encoding="utf-8")
            temporary.replace(self.root / "index.jsonl")
        except OSError:  # a full or read-only disk: the index is only a cache
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Stop looking for garbage: reading 10,000 records makes none, and the search takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()  # or the next search would look through them all
            gc.enable()


def _index_line(name: str, mtime: int, record: Record) -> str:
    """Return ``id mtime <tab> classes <tab> {cell, result}``.

    The key is read without parsing the rest. All methods share a split's classes and video counts: they stand apart,
    so that their text is parsed once.
    """
    result = record.result.model_copy(update={"epochs": [], "failure": _brief(record.result), "classes": None})
    counts = record.result.classes
    shared = json.dumps([counts.names, counts.unseen, counts.scored] if counts else None)
    hits = json.dumps([counts.top1, counts.top5] if counts else None)
    content = f'{{"cell":{record.cell.model_dump_json()},"result":{result.model_dump_json()},"hits":{hits}}}'
    return f"{name} {mtime}\t{shared}\t{content}\t{_SCHEMA}"


def _brief(result: Result) -> Any:
    return result.failure.model_copy(update={"traceback": ""}) if result.failure else None


def _from_index(line: str, shared: dict[str, Any]) -> Record:
    _, classes, content, _ = line.split("\t")
    parsed = json.loads(content)
    result = parsed["result"]
    if parsed["hits"]:
        if classes not in shared:
            shared[classes] = [tuple(values) for values in json.loads(classes)]
        names, unseen, scored = shared[classes]
        top1, top5 = map(tuple, parsed["hits"])
        counts = {"names": names, "unseen": unseen, "scored": scored, "top1": top1, "top5": top5}
        result["classes"] = _trusted(ClassCounts, counts)
    if result["failure"]:
        result["failure"] = _trusted(Failure, result["failure"])
    result["state"] = State(result["state"])
    parsed["cell"]["budget"] = tuple(parsed["cell"]["budget"])
    if parsed["cell"]["auxiliary"]:
        parsed["cell"]["auxiliary"] = _trusted(Auxiliary, parsed["cell"]["auxiliary"])
    return Record(_trusted(Cell, parsed["cell"]), _trusted(Result, result))


M = TypeVar("M", bound=BaseModel)


def _trusted(model: type[M], values: dict[str, Any]) -> M:
    """Return a model without validating it again, which would take seconds: only this module writes the index.

    The same as ``model.model_construct(**values)`` with every field given, at a fifth of its time.
    """
    made = model.__new__(model)
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made
