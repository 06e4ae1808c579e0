"""A small results folder made once, copies of it for each fault, and the commands that read it."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.cells.cell import PREDICTIONS, State
from zslbench.cells.predictions import read_predictions
from zslbench.cells.store import Record, Store
from zslbench.digests import digest

FAILED = "failed"
SECONDS = 120  # after which a command counts as hanging
RUN = (
    "run", "--method", "ridge", "--method", "conse", "--dataset", "hmdb51", "--features", "tiny", "--semantics", "mine",
    "--protocol", "zsl", "--protocol", "gzsl", "--splits", "2", "--save-model", "--keep-scores", "float16", "--inline",
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + self.err


@dataclass
class World:
    """The folders of one process that injects faults.

    Attributes
    ----------
    pristine
        Folder of the undamaged ``runs`` and ``data``; never changed.
    place
        Folder of the copies, so that all commands see the same paths.
    """

    pristine: Path
    place: Path
    before: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    _expected: dict[tuple[Any, ...], Said] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reset()
        self.before = dict(fingerprints(self.runs))

    @property
    def runs(self) -> Path:
        """The results folder that gets the fault."""
        return self.place / "runs"

    @property
    def data(self) -> Path:
        """The data root that gets the fault."""
        return self.place / "data"

    def reset(self) -> None:
        """Copy the undamaged folders again."""
        os.environ["ZSLBENCH_DATA_ROOT"] = str(self.data)
        for name in ("runs", "data"):
            shutil.rmtree(self.place / name, ignore_errors=True)
            shutil.copytree(self.pristine / name, self.place / name)

    def expected(self, verb: tuple[str, ...], without: frozenset[str]) -> Said:
        """Return what a verb says for an undamaged store that never had the cells ``without``."""
        key = (verb, without)
        if key not in self._expected:
            aside = self.place / "aside"
            self.runs.rename(aside)
            shutil.copytree(self.pristine / "runs", self.runs)
            for cell_id in without:
                shutil.rmtree(self.runs / "cells" / cell_id)
            self._expected[key] = self.say(*verb)
            shutil.rmtree(self.runs)
            aside.rename(self.runs)
        return self._expected[key]

    def look(self) -> list[tuple[str, str]]:
        """Return what the store shows."""
        return fingerprints(self.runs)

    def say(self, *args: object) -> Said:
        """Run a command on the results folder."""
        return say(*args, "--results", self.runs)

    def run(self, *more: str) -> Said:
        """Give the command again that made the store."""
        return self.say(*RUN, *(more or ("--no-track",)))


def make_world(folder: Path) -> None:
    """Make the undamaged ``runs`` and ``data`` in ``folder``, by the commands that a user gives."""
    from tiny import make_features

    from zslbench.datasets.catalog import get_dataset
    from zslbench.semantics.class_vectors import open_semantics

    os.environ["ZSLBENCH_DATA_ROOT"] = str(folder / "data")
    make_features(per_class=6)
    dataset = get_dataset("hmdb51")
    vectors = open_semantics("minilm", dataset).vectors[:, :40]
    np.savez(folder / "vectors.npz", names=np.array(dataset.classes), vectors=vectors)
    for args in (
        ("semantics", "import", "mine", folder / "vectors.npz", "--dataset", "hmdb51"),
        (*RUN, "--no-track", "--results", folder / "runs"),
    ):
        said = say(*args)
        if said.code:
            raise RuntimeError(f"the undamaged store cannot be made: {said.text}")
    shutil.copytree(folder / "runs", folder / "tracked")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # MLflow keeps connections to databases it has opened
        pool.submit(say, "track", "sync", "--results", folder / "tracked").result()
    (folder / "tracked" / "mlflow.db").rename(folder / "mlflow.db")


def say(*args: object) -> Said:
    """Run the command line in this process; an exception becomes the text that Python would print."""
    from zslbench.cli import main

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _alarm():
        try:
            main([str(arg) for arg in args])
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1
        except BaseException:
            code = 1
            traceback.print_exc(file=err)
    return Said(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeoutError(f"the command hangs for {SECONDS} s")

    handler = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, SECONDS)  # of the time of a test
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, handler)


def fingerprints(runs: Path) -> list[tuple[str, str]]:
    """Return id and fingerprint of each cell that the store shows; ``FAILED`` for one without figures."""
    store = Store(runs)
    return [
        (record.cell.id, fingerprint(record, store) if record.result.state is State.DONE else FAILED)
        for record in store.records()
    ]


def fingerprint(record: Record, store: Store) -> str:
    """Return a digest of a cell, its figures and its predictions: of all but times and memory."""
    said = record.result.model_dump(mode="json", include={"state", "metrics", "classes", "expected", "present"})
    path = store.path(record.cell.id) / PREDICTIONS
    predictions = digest(read_predictions(path).table().to_pylist()) if path.is_file() else ""
    return digest([record.cell.model_dump(mode="json"), said, predictions])
