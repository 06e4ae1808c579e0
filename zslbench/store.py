"""The store: one directory a cell, written under a temporary name and renamed; an index that can be thrown away.

``cells/<id>/`` holds ``cell.json``, ``result.json``, ``environment.json``, ``log.txt`` and, where there are any,
``predictions.parquet`` and ``error.json``. A directory whose name starts with a dot was never finished and is never
read. ``index.jsonl`` caches what the leaderboard needs; it is checked against the directories' times each time.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zslbench.cell import Cell, Result, State
from zslbench.errors import ZslbenchError
from zslbench.paths import UNFINISHED, new_directory

_STALE_SECONDS = 24 * 3600


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
        Made if absent.

    Raises
    ------
    ZslbenchError
        ``root`` cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells = root / "cells"
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            probe = self.cells / f"{UNFINISHED}probe-{os.getpid()}"
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise ZslbenchError(
                f"the results folder {root} cannot be written ({error.strerror}); choose another with --results."
            ) from error
        for left in self.cells.glob(f"{UNFINISHED}*"):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)

    def path(self, cell_id: str) -> Path:
        """Return the directory of a cell, whether it exists or not."""
        return self.cells / cell_id

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
        with os.scandir(self.cells) as entries:
            found = sorted((e.name, e.stat().st_mtime_ns) for e in entries if not e.name.startswith("."))
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
            records = [_from_index(line) for line in fresh.values()]
        yield from records

    def _read_index(self) -> dict[tuple[str, int], str]:
        try:
            lines = (self.root / "index.jsonl").read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        index = {}
        for line in lines:
            # "<id> <mtime> <json>": the key is read without parsing the record.
            name, _, rest = line.partition(" ")
            mtime, _, _ = rest.partition(" ")
            if mtime.isdigit() and line.endswith("}"):
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
    """Reading 10,000 records makes no garbage, but looking for it again and again takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _index_line(name: str, mtime: int, record: Record) -> str:
    result = record.result.model_copy(update={"epochs": [], "failure": _brief(record.result)})
    return f'{name} {mtime} {{"cell":{record.cell.model_dump_json()},"result":{result.model_dump_json()}}}'


def _brief(result: Result) -> Any:
    return result.failure.model_copy(update={"traceback": ""}) if result.failure else None


def _from_index(line: str) -> Record:
    parsed = json.loads(line.split(" ", 2)[2])
    # The index is written by this class only; validating 10,000 records again would take seconds.
    return Record(_trusted(Cell, parsed["cell"]), _trusted_result(parsed["result"]))


def _trusted(model: type[Any], values: dict[str, Any]) -> Any:
    return model.model_construct(**values)


def _trusted_result(values: dict[str, Any]) -> Result:
    from zslbench.cell import ClassCounts, Failure

    if values["classes"]:
        values["classes"] = ClassCounts.model_construct(**values["classes"])
    if values["failure"]:
        values["failure"] = Failure.model_construct(**values["failure"])
    values["state"] = State(values["state"])
    return Result.model_construct(**values)
