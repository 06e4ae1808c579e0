"""The plan: an experiment's grid -> cells. Nothing else enumerates cells."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from zslbench.cells.cell import Auxiliary, Cell
from zslbench.cells.source import source_digest
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import SplitFamily, parse_splits
from zslbench.errors import CoverageError, ZslbenchError
from zslbench.features.catalog import list_features, open_features
from zslbench.features.feature_set import SIMULATED, FeatureSet
from zslbench.method import Budget, Method, MethodParams
from zslbench.registry import parse_label
from zslbench.run.experiment import Experiment, resolve_method
from zslbench.run.inputs import family_vectors, run_texts, side_datasets
from zslbench.semantics.attributes import DERIVED, open_attributes
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.texts import SHIPPED


@dataclass
class Plan:
    """The cells of an experiment.

    Attributes
    ----------
    cells
        In the order in which they run: splits outermost, so that early results compare all methods.
    notices
        What the user should know before it starts.
    simulated
        Whether any cell runs on simulated features.
    """

    cells: list[Cell] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    simulated: bool = False


def make_plan(experiment: Experiment, *, simulate: Any = None) -> Plan:
    """Return the cells of an experiment, all inputs opened and checked before the first one runs.

    Parameters
    ----------
    simulate
        Function from a dataset to its simulated feature set, called where a dataset has no imported features.

    Raises
    ------
    ZslbenchError
        Whatever is unknown, missing or does not fit, naming the remedy.
    """
    for target in experiment.set:
        names = {*experiment.method, *(parse_label(label)[0] for label in experiment.method)}
        names |= {part for name in list(names) for part in parse_label(name)[0].split("+")}
        if target not in names:
            raise ZslbenchError(f"--set names {target!r}, which is not among the methods of this run: {sorted(names)}.")
    methods = [(label, *resolve_method(label, experiment.set)) for label in dict.fromkeys(experiment.method)]
    plan = Plan()
    groups = []
    for dataset_name in dict.fromkeys(experiment.dataset):
        dataset = get_dataset(dataset_name)
        for features in _feature_sets(dataset, experiment, simulate):
            for semantics in dict.fromkeys(experiment.semantics):
                groups.append(list(_cells(experiment, methods, features, semantics, plan, simulate)))
    seen: set[str] = set()
    for cell in sorted((cell for group in groups for cell in group), key=lambda cell: cell.split):
        if cell.id not in seen:
            seen.add(cell.id)
            plan.cells.append(cell)
    return plan


def _feature_sets(dataset: Dataset, experiment: Experiment, simulate: Any) -> Iterator[FeatureSet]:
    names = list(dict.fromkeys(experiment.features)) or imported_features(dataset)
    if not experiment.features and len(names) > 1:
        raise ZslbenchError(f"{dataset.name} has several feature sets; choose with --features: {', '.join(names)}.")
    for name in names or [SIMULATED]:
        yield _open(dataset, name, simulate)


def imported_features(dataset: Dataset) -> list[str]:
    """Return the names of the feature sets that are not simulated; a damaged one complains when it is chosen."""
    names = []
    for _, name in list_features(dataset.name):
        with contextlib.suppress(ZslbenchError):
            if open_features(dataset, name).manifest.simulated:
                continue
        names.append(name)
    return names


def _open(dataset: Dataset, name: str, simulate: Any) -> FeatureSet:
    return simulate(dataset) if name == SIMULATED and simulate else open_features(dataset, name)


def _family(experiment: Experiment, dataset: Dataset, features: FeatureSet) -> SplitFamily:
    name = experiment.family
    if name is None:
        whole = len(features.covered) == len(dataset.classes)
        name = "xu-50/50" if whole and "xu-50/50" in dataset.family_names else "random-50/50"
    family = dataset.family(name, features.covered)
    family.check_coverage(features.covered, features.title)
    return family


def _seen_features(family: SplitFamily, features: FeatureSet, simulate: Any) -> FeatureSet:
    """Return the other dataset's features of the same name, which must cover every seen class."""
    name = features.manifest.name
    seen = _open(get_dataset(family.splits[0].seen_dataset or ""), name, simulate)
    _check_alike(features, seen)
    missing = sorted({n for split in family.splits for n in split.seen} - set(seen.covered))
    if missing:
        raise CoverageError(
            f"{family.name} trains on {len(missing)} classes that {seen.title} lacks ({', '.join(missing[:4])}"
            f"{', ...' if len(missing) > 4 else ''}); import features of them too."
        )
    return seen


def _check_alike(features: FeatureSet, other: FeatureSet) -> None:
    """Refuse features of another dataset that cannot be of the same extractor."""
    if (other.manifest.dim, other.manifest.tokens) != (features.manifest.dim, features.manifest.tokens):
        raise ZslbenchError(
            f"{other.title} has {other.manifest.dim} values a frame and {features.title} {features.manifest.dim}; "
            f"import both from one extractor."
        )
    ours, theirs = (found.manifest.transform for found in (features, other))
    if (ours and (ours.dim, ours.fit, ours.whiten)) != (theirs and (theirs.dim, theirs.fit, theirs.whiten)):
        raise ZslbenchError(
            f"{other.title} and {features.title} are not derived alike; give both the same name by the same "
            f"'zslbench features transform'."
        )


def _cells(
    experiment: Experiment,
    methods: list[tuple[str, type[Method], MethodParams]],
    features: FeatureSet,
    semantics: str,
    plan: Plan,
    simulate: Any,
) -> Iterator[Cell]:
    dataset = features.dataset
    family = _family(experiment, dataset, features)
    first = family.splits[0]
    seen_features = None
    if first.seen_dataset:
        if "gzsl" in experiment.protocol:
            raise ZslbenchError(f"{family.name} trains on another dataset, so gzsl is undefined; use --protocol zsl.")
        seen_features = _seen_features(family, features, simulate)
    *_, semantics_digest = family_vectors(semantics, dataset, family)
    auxiliary = _auxiliary(experiment, (features, seen_features), semantics, plan, simulate)
    if features.manifest.simulated:
        plan.simulated = True
    indices = parse_splits(experiment.splits, len(family))
    if features.manifest.kind == "pooled":
        for label in sorted({label for label, method, _ in methods if method.info.wants == "sequences"}):
            plan.notices.append(f"{label} looks at sequences; {features.title} is pooled: one frame a video.")
    sides = _Sides.of(experiment, methods, side_datasets(dataset.name, first.seen_dataset, auxiliary))
    plan.notices += sides.notices
    repeated = Counter(split.digest for split in family.splits)
    if family.n_distinct < len(family):
        plan.notices.append(
            f"{dataset.name} {family.name} has {len(family)} splits, {family.n_distinct} of them distinct: "
            f"repetitions are run and counted once."
        )
    for index, protocol, seed, (label, method, params) in product(
        indices, experiment.protocol, experiment.seed, methods
    ):
        split = family.splits[index]
        yield Cell(
            method=method.info.name,
            label=label,
            method_version=method.info.version,
            method_digest=source_digest(method),
            params=params.model_dump(mode="json"),
            dataset=dataset.name,
            classes_digest=dataset.digest,
            features=features.manifest.name,
            features_digest=features.manifest.digest,
            seen_dataset=split.seen_dataset,
            seen_features_digest=seen_features.manifest.digest if seen_features else None,
            semantics=semantics,
            semantics_digest=semantics_digest,
            **sides.of_cell(method(params).budget),
            auxiliary=auxiliary,
            protocol=protocol,
            family=family.name,
            family_digest=family.digest,
            split=index,
            split_digest=split.digest,
            repeats=repeated[split.digest],
            family_size=len(family),
            seed=seed,
            budget=tuple(sorted(method(params).budget | ({Budget.AUXILIARY_VIDEOS} if auxiliary else set()))),
            reconstruction=method.info.reconstruction,
            simulated=features.manifest.simulated or (auxiliary is not None and auxiliary.simulated),
        )


@dataclass(frozen=True)
class _Sides:
    """The class texts and attributes of a plan's cells, opened and checked once."""

    texts: str
    texts_digest: str | None
    attributes: str
    attributes_digest: str | None
    notices: tuple[str, ...]

    @classmethod
    def of(cls, experiment: Experiment, methods: list[tuple[str, type[Method], MethodParams]], datasets: Any) -> _Sides:
        texts, attributes = experiment.texts or SHIPPED, experiment.attributes or DERIVED
        budgets = [method(params).budget for _, method, params in methods]
        reads_texts, reads_attributes = (
            any(wanted in budget for budget in budgets) for wanted in (Budget.CLASS_TEXTS, Budget.ATTRIBUTES)
        )
        notices = []
        if experiment.texts and not reads_texts and not (reads_attributes and attributes == DERIVED):
            notices.append(f"no method of this run reads class texts: --texts {texts} changes nothing.")
        if experiment.attributes and not reads_attributes:
            notices.append(f"no method of this run reads attributes: --attributes {attributes} changes nothing.")
        texts_digest = run_texts(texts, datasets)[1] if reads_texts else None
        found = [get_dataset(name) for name in datasets] if reads_attributes else []
        attributes_digest = open_attributes(attributes, found, texts).digest if found else None
        return cls(texts, texts_digest, attributes, attributes_digest, tuple(notices))

    def of_cell(self, budget: frozenset[Budget]) -> dict[str, Any]:
        """Return a cell's fields: what its method may read."""
        found: dict[str, Any] = {}
        if Budget.ATTRIBUTES in budget:
            found = {"attributes": self.attributes, "attributes_digest": self.attributes_digest}
            found |= {"texts": self.texts} if self.attributes == DERIVED else {}
        if Budget.CLASS_TEXTS in budget:
            found |= {"texts": self.texts, "texts_digest": self.texts_digest}
        return found


def _auxiliary(
    experiment: Experiment, sides: tuple[FeatureSet, FeatureSet | None], semantics: str, plan: Plan, simulate: Any
) -> Auxiliary | None:
    """Return the auxiliary dataset, its features checked against the run's own."""
    if experiment.auxiliary is None:
        return None
    name, _, chosen = experiment.auxiliary.partition("@")
    dataset, features = get_dataset(name), sides[0]
    if dataset.name in [side.dataset.name for side in sides if side]:
        raise ZslbenchError(f"--auxiliary {experiment.auxiliary} is a dataset of the run itself; name another one.")
    other = _open(dataset, chosen or features.manifest.name, simulate)
    _check_alike(features, other)
    plan.simulated |= other.manifest.simulated
    plan.notices.append(
        f"videos of {other.title} are trained on too, but those of classes that are or are near an unseen one of the "
        f"split (each result notes which)."
    )
    return Auxiliary(
        dataset=dataset.name,
        features=other.manifest.name,
        features_digest=other.manifest.digest,
        simulated=other.manifest.simulated,
        semantics_digest=open_semantics(semantics, dataset, other.covered).digest,
    )
