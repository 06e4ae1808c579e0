"""Findings about the inputs of a cell, before or after it has run, and the marks for them in a leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from zslbench.audit._features import Unseen, check_seen_classes, check_steps, check_training, find_manifest
from zslbench.audit.findings import CODES, Finding, Severity
from zslbench.cells.cell import Cell
from zslbench.cells.rows import Key, group_cells
from zslbench.cells.store import Record
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.splits import RANDOM_FAMILIES, SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.method import Budget


class Inputs(NamedTuple):
    """The inputs that cells of several methods share.

    Examples
    --------
    >>> Inputs("ucf101", "c3d", "d1", None, None, "xu-50/50", "d2").title
    'ucf101@c3d, splits xu-50/50'
    """

    dataset: str
    features: str
    features_digest: str
    seen_dataset: str | None
    seen_features_digest: str | None
    family: str
    family_digest: str

    @classmethod
    def of(cls, cell: Cell) -> Inputs:
        """Return the inputs of a cell."""
        return cls(*(getattr(cell, name) for name in cls._fields))

    @property
    def title(self) -> str:
        """``ucf101@c3d, splits xu-50/50``."""
        return f"{self.dataset}@{self.features}, splits {self.family}"


def check_inputs(inputs: Inputs, unseen: Unseen) -> Iterator[Finding]:
    """Yield the findings about feature sets, and about the seen classes if they are of another dataset.

    Parameters
    ----------
    unseen
        Digest of a split -> its unseen classes.
    """
    manifest = find_manifest(inputs.dataset, inputs.features, inputs.features_digest)
    if manifest is None:
        lost = "the feature set was removed or changed here, so the training data of its extractor is unknown"
        yield Finding("W3", f"{inputs.dataset}@{inputs.features}", (lost,))
    else:
        yield from check_training(manifest, inputs.title, {inputs.family: unseen})
        yield from check_steps(manifest)
    if inputs.seen_dataset is None:
        return
    other = find_manifest(inputs.seen_dataset, inputs.features, inputs.seen_features_digest or "")
    if other is not None:
        yield from check_steps(other)
    family = family_of(inputs)
    if family is not None:
        yield from check_seen_classes(inputs.dataset, family, inputs.title, unseen)


def family_of(inputs: Inputs) -> SplitFamily | None:
    """Return the split family, or ``None`` if it was removed or changed."""
    try:
        dataset = get_dataset(inputs.dataset)
        covered = None
        if inputs.family in RANDOM_FAMILIES:  # these are drawn among the covered classes, the others are stored
            covered = open_features(dataset, inputs.features).covered
        family = dataset.family(inputs.family, covered)
    except ZslbenchError:
        return None
    return family if family.digest == inputs.family_digest else None


def unseen_classes(records: Iterable[Record]) -> dict[str, frozenset[str]]:
    """Return the recorded unseen classes of each split that has figures; the family itself may have changed."""
    found: dict[str, frozenset[str]] = {}
    for record in records:
        counts = record.result.classes
        if counts and record.cell.split_digest not in found:
            pairs = zip(counts.names, counts.unseen, strict=True)
            found[record.cell.split_digest] = frozenset(name for name, unseen in pairs if unseen)
    return found


def marks(records: Iterable[Record]) -> dict[Key, tuple[str, ...]]:
    """Return key of :func:`zslbench.cells.rows.group_cells` -> codes of the leaks, for the rows that leak.

    Only leaks in a row's inputs and budget are checked, once for all rows with the same inputs.
    """
    groups = group_cells(records)
    shared: dict[Inputs, list[Sequence[Record]]] = {}
    for group in groups.values():
        shared.setdefault(Inputs.of(group[0].cell), []).append(group)
    codes: dict[Inputs, frozenset[str]] = {}
    for inputs, rows in shared.items():
        unseen = unseen_classes(record for row in rows for record in row)
        found = check_inputs(inputs, unseen)
        codes[inputs] = frozenset(finding.code for finding in found if finding.severity is Severity.LEAK)
    marked = {}
    for key, group in groups.items():
        cell = group[0].cell
        of_row = codes[Inputs.of(cell)] | ({"L5"} if Budget.ORACLE in cell.budget else set())
        if of_row:
            marked[key] = tuple(code for code in CODES if code in of_row)
    return marked


def mark_notes(codes: Iterable[str]) -> list[str]:
    """Return a footnote for each code, in their order."""
    wanted = set(codes)
    return [f"[{code}]: {kind.title}; see 'zslbench audit'." for code, kind in CODES.items() if code in wanted]
