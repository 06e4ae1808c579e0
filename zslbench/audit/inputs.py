"""Findings about the inputs of a cell, before or after it has run, and the marks for them in a leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from zslbench.audit._features import Unseen, check_seen_classes, check_steps, check_training, find_manifests
from zslbench.audit._twins import check_training_twins, check_twins
from zslbench.audit._vectors import check_likeness
from zslbench.audit.findings import CODES, Finding, Severity, mark_note
from zslbench.cells.cell import Auxiliary, Cell
from zslbench.cells.rows import Key, group_cells
from zslbench.cells.store import Record
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import overlap_unknown
from zslbench.datasets.splits import SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureSet
from zslbench.method import Budget
from zslbench.run.inputs import family_vectors
from zslbench.run.task import near_unseen
from zslbench.run.trained import trains


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
    auxiliary: Auxiliary | None = None

    @classmethod
    def of(cls, cell: Cell) -> Inputs:
        """Return the inputs of a cell; an untrained method has no training dataset, whatever the splits name."""
        found = cls(*(getattr(cell, name) for name in cls._fields))
        if cell.seen_dataset and not trains(cell):
            return found._replace(seen_dataset=None, seen_features_digest=None)
        return found

    @property
    def title(self) -> str:
        """``ucf101@c3d, splits xu-50/50``."""
        return f"{self.dataset}@{self.features}, splits {self.family}"


def check_inputs(inputs: Inputs, unseen: Unseen, *, search_now: bool = True) -> Iterator[Finding]:
    """Yield the findings about feature sets, and about the seen classes if they are of another dataset.

    Parameters
    ----------
    unseen
        Digest of a split -> its unseen classes.
    search_now
        Whether to search for copies of videos in features where no search is stored.
    """
    manifests = find_manifests(inputs.dataset, inputs.features, inputs.features_digest)
    if not manifests:
        lost = "the feature set was removed or changed here, so the training data of its extractor is unknown"
        yield Finding("W3", f"{inputs.dataset}@{inputs.features}", (lost,))
    family = family_of(inputs)
    for i, manifest in enumerate(manifests):  # several of an ensemble
        title = f"{inputs.dataset}@{manifest.name}, splits {inputs.family}"
        yield from check_training(manifest, title, {inputs.family: unseen})
        yield from check_steps(manifest)
        yield from _copies(inputs, i, title, family, unseen, search_now=search_now)
    if inputs.seen_dataset is None:
        return
    for other in find_manifests(inputs.seen_dataset, inputs.features, inputs.seen_features_digest or ""):
        yield from check_steps(other)
    if family is not None:
        yield from check_seen_classes(inputs.dataset, family, inputs.title, unseen)


def _copies(
    inputs: Inputs, part: int, title: str, family: SplitFamily | None, unseen: Unseen, *, search_now: bool
) -> Iterator[Finding]:
    """Yield the findings about copies of videos among all the features that a cell, or one part of it, reads."""
    features = _opened(inputs.dataset, inputs.features, inputs.features_digest)
    if features is None:
        return
    own = features.parts[part]
    if inputs.seen_dataset is None:
        found = check_twins(own, title, {inputs.family: unseen}, search_now=search_now)
        # An untrained method has no training dataset, and nothing trains on the other classes of the tested one.
        across = family is not None and family.splits[0].seen_dataset is not None
        yield from (each for each in found if not (across and each.code == "L7"))
    else:
        other = _opened(inputs.seen_dataset, inputs.features, inputs.seen_features_digest or "")
        if other and family:
            theirs = other.parts[part]
            seen = {split.digest: frozenset(split.seen) for split in family.splits}
            where = f"{title}: methods train on {theirs.title}"
            yield from check_training_twins(own, theirs, where, unseen, seen.__getitem__, search_now=search_now)
    if auxiliary := inputs.auxiliary:
        other = _opened(auxiliary.dataset, auxiliary.features, auxiliary.features_digest)
        if other:
            theirs = other.parts[part]
            covered = frozenset(theirs.covered)

            def trained(split: str) -> frozenset[str]:
                return covered - near_unseen(auxiliary.dataset, inputs.dataset, tuple(sorted(unseen[split])))

            where = f"{title}: methods also train on {theirs.title}"
            yield from check_training_twins(own, theirs, where, unseen, trained, search_now=search_now)


class Semantics(NamedTuple):
    """The class vectors of cells, and the inputs that they belong to.

    Examples
    --------
    >>> inputs = Inputs("ucf101", "c3d", "d1", None, None, "xu-50/50", "d2")
    >>> Semantics(inputs, "word2vec", "d3").spec
    'word2vec'
    """

    inputs: Inputs
    spec: str
    digest: str

    @classmethod
    def of(cls, cell: Cell) -> Semantics:
        """Return the class vectors of a cell."""
        return cls(Inputs.of(cell), cell.semantics, cell.semantics_digest)


def check_semantics(used: Semantics, unseen: Unseen, *, search_now: bool = True) -> Iterator[Finding]:
    """Yield the findings about class vectors that were made from the videos; nothing if either has changed since."""
    inputs = used.inputs
    features = _opened(inputs.dataset, inputs.features, inputs.features_digest)
    if features is None:
        return
    if family := family_of(inputs):
        try:
            if family_vectors(used.spec, features.dataset, family)[-1] != used.digest:
                return
        except ZslbenchError:
            return
    ever = frozenset(name for names in unseen.values() for name in names)
    for part in features.parts:
        yield from check_likeness(part.origin[0], used.spec, ever, search_now=search_now)


def check_leaks(each: Inputs | Semantics, unseen: Unseen, *, search_now: bool = True) -> Iterator[Finding]:
    """Yield the findings about inputs or class vectors."""
    if isinstance(each, Inputs):
        return check_inputs(each, unseen, search_now=search_now)
    return check_semantics(each, unseen, search_now=search_now)


def _opened(dataset: str, name: str, digest: str) -> FeatureSet | None:
    """Return a feature set, or ``None`` if it is not here any more, or damaged."""
    try:
        features = open_features(get_dataset(dataset), name)
        if features.manifest.simulated or features.manifest.digest != digest:
            return None
        features.check_unchanged()
    except ZslbenchError:
        return None
    return features


def family_of(inputs: Inputs) -> SplitFamily | None:
    """Return the split family, or ``None`` if it was removed or changed."""
    try:
        dataset = get_dataset(inputs.dataset)
        covered = None
        if inputs.family not in dataset.stored_families:  # these may depend on the covered classes
            covered = open_features(dataset, inputs.features).covered
        family = find_family(dataset, inputs.family, covered)
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
    """Return key of :func:`zslbench.cells.rows.group_cells` -> codes, for the rows that leak or may leak.

    The codes are those of leaks in a row's inputs and budget, and W3 if the overlap with its extractor's training is
    unknown. Inputs are checked once for all rows that share them. Copies of videos, and vectors made from videos, are
    marked if an import or an audit has searched for them. Features that are not here any more give no W3.
    """
    groups = group_cells(records)
    shared: dict[Inputs | Semantics, list[Sequence[Record]]] = {}
    for group in groups.values():
        for each in (Inputs.of(group[0].cell), Semantics.of(group[0].cell)):
            shared.setdefault(each, []).append(group)
    codes: dict[Inputs | Semantics, frozenset[str]] = {}
    for each, rows in shared.items():
        unseen = unseen_classes(record for row in rows for record in row)
        found = check_leaks(each, unseen, search_now=False)
        codes[each] = frozenset(finding.code for finding in found if finding.severity is Severity.LEAK)
        if isinstance(each, Inputs) and _overlap_unknown(each):
            codes[each] |= {"W3"}
    marked = {}
    for key, group in groups.items():
        cell = group[0].cell
        of_row = (
            codes[Inputs.of(cell)] | codes[Semantics.of(cell)] | ({"L5"} if Budget.ORACLE in cell.budget else set())
        )
        if of_row:
            marked[key] = tuple(code for code in CODES if code in of_row)
    return marked


def _overlap_unknown(inputs: Inputs) -> bool:
    manifests = find_manifests(inputs.dataset, inputs.features, inputs.features_digest)
    return any(overlap_unknown(manifest.trained_on) for manifest in manifests if not manifest.simulated)


def mark_notes(codes: Iterable[str]) -> list[str]:
    """Return a footnote for each code, in their order."""
    wanted = set(codes)
    return [mark_note(code) for code in CODES if code in wanted]
