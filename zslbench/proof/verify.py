"""Verify a results folder: list what disagrees, cannot be read, or belongs to no cell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from zslbench.cells.cell import SUMS, State
from zslbench.cells.integrity import file_problems, index_problems, record_problems, unknown_files
from zslbench.cells.store import CARD_FILE, IMPORTED, INDEX, Record, Store
from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.files import UNFINISHED
from zslbench.proof._inputs import InputChecks
from zslbench.run.models import ARRAYS, CARD, check_model, read_card

DefectKind = Literal["disagrees", "unreadable", "orphaned"]


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong in a results folder.

    Attributes
    ----------
    kind
        ``disagrees``: two of its parts contradict each other. ``unreadable``: it is damaged. ``orphaned``: it belongs
        to no cell.
    where
        The cell's id, or the path in the results folder.
    what
        What is wrong, in a few words.

    Examples
    --------
    >>> Defect("orphaned", "models/3f2a", "it is the model of no stored cell").kind
    'orphaned'
    """

    kind: DefectKind
    where: str
    what: str


@dataclass
class Verification:
    """What the verification of a results folder found.

    Attributes
    ----------
    states
        State -> number of cells.
    models
        Number of saved models.
    defects
        All that is wrong.
    unchecked
        What could not be checked on this machine -> number of cells.

    Examples
    --------
    >>> found = verify(Store(Path("absent")))
    >>> found.n_cells, found.defects
    (0, [])
    """

    states: Counter[str] = field(default_factory=Counter)
    models: int = 0
    defects: list[Defect] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)

    @property
    def n_cells(self) -> int:
        """Number of stored cells."""
        return self.states.total()


def verify(store: Store, progress: Callable[[int, int], None] = lambda done, total: None) -> Verification:
    """Check every cell, saved model and file of a results folder, and its imported bundles; change nothing.

    Whoever changes all files of a cell consistently, predictions included, is not found: nothing is signed.

    Parameters
    ----------
    progress
        Called with the numbers of cells done and of all cells.
    """
    found = Verification()
    for where, what in index_problems(store):
        found.defects.append(Defect("unreadable" if where == INDEX else "disagrees", where, what))
    inputs = InputChecks()
    names = store.names()
    for done, name in enumerate(names, start=1):
        _verify_cell(store, name, inputs, found)
        progress(done, len(names))
    found.defects += _unfinished(store)
    _verify_models(store, found)
    found.defects += _strange_imports(store)
    for bundle in store.bundles().values():
        theirs = verify(bundle, progress)
        found.states += theirs.states
        found.unchecked += theirs.unchecked
        place = bundle.root.relative_to(store.root).as_posix()
        found.defects += [replace(each, where=f"{place}/{each.where}") for each in theirs.defects]
    return found


def _verify_cell(store: Store, name: str, inputs: InputChecks, found: Verification) -> None:
    folder = store.path(name)
    if not folder.is_dir():
        found.defects.append(Defect("orphaned", f"cells/{name}", "it is no cell's folder"))
        return
    files = file_problems(folder)
    cell = store.find(name)
    if not isinstance(cell, Record):
        found.states["unreadable"] += 1
        reasons = dict.fromkeys([cell.reason] if cell else [], None) | dict.fromkeys(files, None)
        found.defects += [Defect("unreadable", name, reason) for reason in reasons]
        return
    found.states[cell.result.state.value] += 1
    found.defects += [Defect("unreadable", name, problem) for problem in files]
    found.defects += [Defect("orphaned", f"cells/{name}/{file}", "it is no file of the cell") for file in
                      unknown_files(folder)]  # fmt: skip
    problems, unchecked = inputs.check(cell, folder)
    found.unchecked.update(unchecked)
    found.defects += [Defect("disagrees", name, problem) for problem in (*record_problems(cell, folder), *problems)]


def _unfinished(store: Store) -> Iterator[Defect]:
    for folder in (store.root, store.cells, store.models, store.imported, store.reruns.cells):
        for left in sorted(folder.glob(f"{UNFINISHED}*")):
            where = left.relative_to(store.root).as_posix()
            yield Defect("orphaned", where, "it was never finished; 'zslbench run' deletes it after a day")


def _strange_imports(store: Store) -> Iterator[Defect]:
    bundles = store.bundles()
    for path in sorted(store.imported.glob("[!.]*")):
        where = f"{IMPORTED}/{path.name}"
        if path.name not in bundles:
            yield Defect("orphaned", where, "it is no bundle's folder")
        elif problem := _card_problem(bundles[path.name]):
            yield Defect("unreadable", where, f"{CARD_FILE}: {problem}")


def _card_problem(bundle: Store) -> str | None:
    """Return how the cells of an imported bundle differ from those that its card lists."""
    try:
        listed = json.loads((bundle.root / CARD_FILE).read_bytes())["cells"]
        sums = {name: file_sha256(bundle.path(name) / SUMS) for name in bundle.names()}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return f"the cells cannot be compared with it ({type(error).__name__})"
    return None if sums == listed else "the cells are not those that it lists"


def _verify_models(store: Store, found: Verification) -> None:
    folders = sorted(store.models.iterdir()) if store.models.is_dir() else []
    for folder in folders:
        if not folder.is_dir():
            found.defects.append(Defect("orphaned", f"models/{folder.name}", "it is no model's folder"))
        elif not folder.name.startswith(UNFINISHED):
            found.models += 1
            found.defects += _model_defects(store, folder)


def _model_defects(store: Store, folder: Path) -> Iterator[Defect]:
    where = f"models/{folder.name}"
    try:
        card = read_card(folder)
        check_model(folder)
    except ZslbenchError as error:
        yield Defect("unreadable", where, str(error))
        return
    if card.id != folder.name:
        yield Defect("disagrees", where, f"{CARD} describes the model {card.id}")
    for extra in sorted({path.name for path in folder.iterdir()} - {CARD, ARRAYS}):
        yield Defect("orphaned", f"{where}/{extra}", "it is no file of the model")
    if card.all_classes:  # trained without a test, so there is no cell
        return
    cell = store.find(card.cell.id)
    if cell is None or (isinstance(cell, Record) and cell.result.state is not State.DONE):
        yield Defect("orphaned", where, "no stored cell has this model")
    elif isinstance(cell, Record) and (classes := cell.result.classes):
        unseen = tuple(n for n, counted in zip(classes.names, classes.unseen, strict=True) if counted)
        if card.unseen != unseen:
            yield Defect("disagrees", where, "its unseen classes are not those of its cell")
