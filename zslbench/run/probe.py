"""Ask a new worker whether it has the code, the data and the results folder of this run, before it gets a cell."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import re
import uuid
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zslbench.cells.cell import RECIPE, Cell
from zslbench.cells.source import source_digest
from zslbench.cells.store import Store
from zslbench.compute import Offer, current_offer
from zslbench.errors import ZslbenchError, some
from zslbench.files import DATA_ROOT_VARIABLE, UNFINISHED, data_root
from zslbench.registry import get_method
from zslbench.run.inputs import open_inputs
from zslbench.version import __version__

# Figures can differ between their versions. Those of Dask, pandas or MLflow change none.
_NUMERICAL = ("numpy", "scipy", "scikit-learn", "torch")


class Questions:
    """What a worker is asked, and what it must answer.

    Parameters
    ----------
    cells
        The cells that wait.
    store
        The store that they are written to.

    Examples
    --------
    >>> questions = Questions([], Store(Path("runs")))
    >>> questions.reason(answers(questions.asked | {"root": None}))
    """

    def __init__(self, cells: Sequence[Cell], store: Store) -> None:
        self._digests = {cell.method: cell.method_digest for cell in cells}
        self._root = store.root.absolute()
        self._mark = f"{UNFINISHED}mark-{uuid.uuid4().hex}"
        inputs = {_inputs(cell): cell for cell in reversed(cells)}  # one cell for all that share their inputs
        self.asked: dict[str, Any] = {
            "methods": sorted(self._digests),
            "inputs": [cell.model_dump(mode="json") for cell in inputs.values()],
            "root": str(self._root),
            "mark": self._mark,
            "device": current_offer().wanted,
        }

    @contextlib.contextmanager
    def marked(self) -> Iterator[None]:
        """Mark the results folder within a block, so that workers can recognise it."""
        mark = self._root / self._mark
        self._root.mkdir(parents=True, exist_ok=True)
        mark.touch()
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)

    def reason(self, answer: dict[str, Any] | BaseException) -> str | None:
        """Return why a worker that gave this answer gets no cells, and the remedy; ``None`` if it gets some."""
        if isinstance(answer, BaseException):
            return _no_answer(answer)
        for name, ours in software().items():
            theirs = answer.get("software", {}).get(name)
            if theirs != ours:
                return f"it has {name} {theirs or 'not at all'}, and this run {ours}; install the same version there"
        for name, digest in self._digests.items():
            found = answer.get("methods", {}).get(name, "")
            if found != digest:
                why = (
                    found.removeprefix("!").partition(". ")[0]
                    if found.startswith("!")
                    else f"its source of {name} is not this run's"
                )
                return f"{why.rstrip('.')}; install the plugin there as on this machine, and restart the worker"
        return answer.get("problem")


def software() -> dict[str, str | None]:
    """Return the versions in this process that figures may depend on."""
    python = ".".join(platform.python_version_tuple()[:2])
    found: dict[str, str | None] = {"zslbench": f"{__version__} (recipe {RECIPE})", "Python": python}
    for name in _NUMERICAL:
        try:
            found[name] = version(name).partition("+")[0]  # builds of torch for GPUs have +cu128
        except PackageNotFoundError:
            found[name] = None
    return found


async def answered(asked: dict[str, Any]) -> dict[str, Any]:
    """Answer in a thread, so that the worker still answers its scheduler."""
    return await asyncio.to_thread(answers, asked)


def answers(asked: dict[str, Any]) -> dict[str, Any]:
    """Return this process's software, digests of the methods' sources, and what is wrong with its device or folders."""
    found: dict[str, Any] = {"software": software(), "methods": {}, "problem": None}
    for name in asked["methods"]:
        try:
            found["methods"][name] = source_digest(get_method(name))
        except Exception as error:  # whatever a broken plugin raises
            found["methods"][name] = f"!{error}"
    if found["software"] == software() and not any(text.startswith("!") for text in found["methods"].values()):
        found["problem"] = Offer(asked["device"]).missing.rstrip(".") or _folders(asked)
    return found


def _folders(asked: dict[str, Any]) -> str | None:
    if asked["root"] is not None:
        root = Path(asked["root"])
        try:
            same = (root / asked["mark"]).exists()
            if same:
                Store(root).prepare()
        except (OSError, ZslbenchError) as error:
            return f"{str(error).rstrip('.')} (asked on the worker)"
        if not same:
            return (
                f"its folder {root} is not the results folder of this run; share one folder under the same path, and "
                f"name it with --results"
            )
    for cell in asked["inputs"]:
        try:
            open_inputs(Cell.model_validate(cell))
        except (OSError, ZslbenchError) as error:
            return (
                f"it cannot open the data of this run in {data_root()} ({str(error).rstrip('.')}); share the data "
                f"root, and set {DATA_ROOT_VARIABLE} for the worker"
            )
    return None


def _no_answer(error: BaseException) -> str:
    if found := re.search(r"No module named ['\"\\]*(zslbench[\w.]*)", str(error)):
        what = "no zslbench" if found[1] == "zslbench" else "another version of zslbench"
        return f"it has {what}; install zslbench {__version__} there, with the plugins"
    text = some(str(error).splitlines(), 1) or type(error).__name__
    return f"it cannot be asked what it has ({text}); compare its environment with this one, and restart it"


def _inputs(cell: Cell) -> tuple[object, ...]:
    return (
        cell.dataset, cell.features, cell.features_digest, cell.seen_dataset, cell.semantics, cell.semantics_digest,
        cell.family, cell.texts_digest, cell.attributes_digest, cell.auxiliary,
    )  # fmt: skip
