"""Plan an experiment: turn its grid into cells. No other module makes cells."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from zslbench.cells.cell import Auxiliary, Cell, Protocol
from zslbench.cells.source import source_digest
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import SplitFamily, parse_splits
from zslbench.errors import CoverageError, ZslbenchError
from zslbench.features.catalog import list_features, open_features
from zslbench.features.feature_set import SIMULATED, FeatureSet
from zslbench.method import Budget
from zslbench.overlap.auxiliary import AUXILIARY_NEAR, AUXILIARY_RULE, compare_auxiliary
from zslbench.run.experiment import Experiment
from zslbench.run.inputs import family_vectors, run_texts, side_datasets
from zslbench.run.variants import Variant, check_targets, variants
from zslbench.semantics.attributes import DERIVED, open_attributes
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.texts import SHIPPED

Simulate = Callable[[Dataset], FeatureSet]


@dataclass
class Plan:
    """The cells of an experiment.

    Attributes
    ----------
    cells
        The cells in the order of the run: splits are the outermost loop, so that early results compare all methods.
    notices
        Notes for the user before the run starts.
    simulated
        Whether any cell runs on simulated features.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.run.experiment import make_experiment
    >>> experiment = make_experiment({"method": ("ridge", "random"), "dataset": "hmdb51", "splits": "2"})
    >>> plan = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3))
    >>> [(cell.split, cell.label) for cell in plan.cells]
    [(0, 'ridge'), (0, 'random'), (1, 'ridge'), (1, 'random')]
    """

    cells: list[Cell] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    simulated: bool = False


def make_plan(experiment: Experiment, *, simulate: Simulate | None = None, tested: bool = True) -> Plan:
    """Return the cells of an experiment; open and check all inputs before the first cell runs.

    Parameters
    ----------
    simulate
        Function from a dataset to its simulated feature set, called if a dataset has no imported features.
    tested
        Whether accuracies are measured, so that splits with one unseen class are refused.

    Raises
    ------
    ZslbenchError
        A setting or an input is unknown, missing or does not match the others; the message names the remedy.
    """
    check_targets(experiment.method, experiment.set)
    labels = dict.fromkeys(experiment.method)
    chosen = [variant for label in labels for variant in variants(label, experiment.set)]
    plan = Plan()
    cells = []
    for dataset_name in dict.fromkeys(experiment.dataset):
        for features in _feature_sets(get_dataset(dataset_name), experiment, simulate):
            for semantics in dict.fromkeys(experiment.semantics):
                inputs = _Inputs.open(experiment, chosen, features, semantics, simulate)
                indices = parse_splits(experiment.splits, len(inputs.family))
                if tested:
                    inputs.family.check_unseen(indices)
                plan.notices += inputs.notices(chosen)
                plan.simulated |= inputs.simulated
                grid = product(indices, experiment.protocol, experiment.seed, chosen)
                cells += [inputs.cell(method, index, protocol, seed) for index, protocol, seed, method in grid]
    distinct: dict[str, Cell] = {}
    for cell in sorted(cells, key=lambda cell: cell.split):
        distinct.setdefault(cell.id, cell)
    plan.cells = list(distinct.values())
    return plan


def _feature_sets(dataset: Dataset, experiment: Experiment, simulate: Simulate | None) -> Iterator[FeatureSet]:
    names = list(dict.fromkeys(experiment.features)) or imported_features(dataset)
    if not experiment.features and len(names) > 1:
        raise ZslbenchError(f"{dataset.name} has several feature sets; choose with --features: {', '.join(names)}.")
    for name in names or [SIMULATED]:
        yield _open(dataset, name, simulate)


def imported_features(dataset: Dataset) -> list[str]:
    """Return the names of the feature sets that are not simulated; a damaged one raises an error when it is opened."""
    names = []
    for _, name in list_features(dataset.name):
        with contextlib.suppress(ZslbenchError):
            if open_features(dataset, name).manifest.simulated:
                continue
        names.append(name)
    return names


def _open(dataset: Dataset, name: str, simulate: Simulate | None) -> FeatureSet:
    return simulate(dataset) if name == SIMULATED and simulate else open_features(dataset, name)


def _family(experiment: Experiment, dataset: Dataset, features: FeatureSet) -> SplitFamily:
    name = experiment.family
    if name is None:
        whole = len(features.covered) == len(dataset.classes)
        name = "xu-50/50" if whole and "xu-50/50" in dataset.family_names else "random-50/50"
    family = dataset.family(name, features.covered)
    family.check_coverage(features.covered, features.title)
    return family


def _seen_features(family: SplitFamily, features: FeatureSet, simulate: Simulate | None) -> FeatureSet:
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
    """Refuse features of another dataset that cannot come from the same extractor."""
    if (other.manifest.dim, other.manifest.tokens) != (features.manifest.dim, features.manifest.tokens):
        raise ZslbenchError(
            f"{other.title} has {other.manifest.dim} values per frame and {features.title} {features.manifest.dim}; "
            f"import both from the same extractor."
        )
    ours, theirs = (found.manifest.transform for found in (features, other))
    if (ours and (ours.dim, ours.fit, ours.whiten)) != (theirs and (theirs.dim, theirs.fit, theirs.whiten)):
        raise ZslbenchError(
            f"{other.title} and {features.title} were derived by different steps; derive both by the same 'zslbench "
            f"features transform', under the same name."
        )


@dataclass(frozen=True)
class _Inputs:
    """The inputs that the cells of one feature set and one source of class vectors share, opened and checked once."""

    features: FeatureSet
    seen_features: FeatureSet | None
    auxiliary_features: FeatureSet | None
    auxiliary: Auxiliary | None
    family: SplitFamily
    repeats: Mapping[str, int]
    semantics: str
    semantics_digest: str
    sides: _Sides

    @classmethod
    def open(
        cls,
        experiment: Experiment,
        chosen: Sequence[Variant],
        features: FeatureSet,
        semantics: str,
        simulate: Simulate | None,
    ) -> _Inputs:
        dataset = features.dataset
        family = _family(experiment, dataset, features)
        seen_dataset = family.splits[0].seen_dataset
        if seen_dataset and "gzsl" in experiment.protocol:
            raise ZslbenchError(f"{family.name} trains on another dataset, so gzsl is undefined; use --protocol zsl.")
        seen_features = _seen_features(family, features, simulate) if seen_dataset else None
        *_, semantics_digest = family_vectors(semantics, dataset, family)
        auxiliary_features = _auxiliary_features(experiment, features, seen_features, simulate)
        auxiliary = _auxiliary(auxiliary_features, semantics) if auxiliary_features else None
        return cls(
            features=features,
            seen_features=seen_features,
            auxiliary_features=auxiliary_features,
            auxiliary=auxiliary,
            family=family,
            repeats=Counter(split.digest for split in family.splits),
            semantics=semantics,
            semantics_digest=semantics_digest,
            sides=_Sides.open(experiment, chosen, side_datasets(dataset.name, seen_dataset, auxiliary)),
        )

    @property
    def simulated(self) -> bool:
        return self.features.manifest.simulated or (self.auxiliary is not None and self.auxiliary.simulated)

    def notices(self, chosen: Sequence[Variant]) -> Iterator[str]:
        """Yield notes for the user about these inputs, before the run starts."""
        if self.auxiliary_features:
            yield self._about_auxiliary(self.auxiliary_features)
        if self.features.manifest.kind == "pooled":
            for label in sorted({one.label for one in chosen if one.method.info.wants == "sequences"}):
                yield f"{label} reads sequences, but {self.features.title} is pooled: one frame per video."
        yield from self.sides.notices
        if self.family.n_distinct < len(self.family):
            yield (
                f"{self.family.dataset} {self.family.name} has {len(self.family)} splits, {self.family.n_distinct} of "
                f"them distinct; repeated ones run once and count once."
            )

    def _about_auxiliary(self, features: FeatureSet) -> str:
        found = [
            compare_auxiliary(features.dataset.name, self.features.dataset.name, frozenset(split.unseen))
            for split in self.family.splits
        ]
        counts = [len(each.left_out) for each in found]
        nearest = {match.class_name: match for each in found for match in reversed(each.left_in[:1])}
        shown = sorted(nearest.values(), key=lambda match: match.cosine or 0.0, reverse=True)[:3]
        return (
            f"methods also train on videos of {features.title}. A class is left out if its name equals that of an "
            f"unseen class of the split, contains it or is part of it, or if the cosine of their vectors is at least "
            f"{AUXILIARY_NEAR:g}: {min(counts)} to {max(counts)} of {len(features.dataset.classes)} classes, by split. "
            f"The nearest that are left in: {'; '.join(match.text for match in shown) or 'none'}. Each result lists "
            f"both."
        )

    def cell(self, chosen: Variant, index: int, protocol: Protocol, seed: int) -> Cell:
        info, split, sides = chosen.method.info, self.family.splits[index], self.sides
        reads_texts, reads_attributes = (kind in chosen.budget for kind in (Budget.CLASS_TEXTS, Budget.ATTRIBUTES))
        derives = reads_attributes and sides.attributes == DERIVED  # from the texts
        return Cell(
            method=info.name,
            label=chosen.label,
            variant=chosen.text,
            method_version=info.version,
            method_digest=source_digest(chosen.method),
            params=chosen.params.model_dump(mode="json"),
            dataset=self.features.dataset.name,
            classes_digest=self.features.dataset.digest,
            features=self.features.manifest.name,
            features_digest=self.features.manifest.digest,
            seen_dataset=split.seen_dataset,
            seen_features_digest=self.seen_features.manifest.digest if self.seen_features else None,
            semantics=self.semantics,
            semantics_digest=self.semantics_digest,
            texts=sides.texts if reads_texts or derives else None,
            texts_digest=sides.texts_digest if reads_texts else None,
            attributes=sides.attributes if reads_attributes else None,
            attributes_digest=sides.attributes_digest if reads_attributes else None,
            auxiliary=self.auxiliary,
            protocol=protocol,
            family=self.family.name,
            family_digest=self.family.digest,
            split=index,
            split_digest=split.digest,
            repeats=self.repeats[split.digest],
            family_size=len(self.family),
            seed=seed,
            budget=tuple(sorted(chosen.budget | ({Budget.AUXILIARY_VIDEOS} if self.auxiliary else set()))),
            reconstruction=info.reconstruction,
            simulated=self.simulated,
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
    def open(cls, experiment: Experiment, chosen: Sequence[Variant], datasets: Sequence[str]) -> _Sides:
        texts, attributes = experiment.texts or SHIPPED, experiment.attributes or DERIVED
        budgets = [one.budget for one in chosen]
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


def _auxiliary_features(
    experiment: Experiment, features: FeatureSet, seen_features: FeatureSet | None, simulate: Simulate | None
) -> FeatureSet | None:
    """Return the auxiliary dataset's features; they must match those of the run."""
    if experiment.auxiliary is None:
        return None
    name, _, chosen = experiment.auxiliary.partition("@")
    dataset = get_dataset(name)
    if dataset.name in [own.dataset.name for own in (features, seen_features) if own]:
        raise ZslbenchError(f"--auxiliary {experiment.auxiliary} is a dataset of the run itself; name another one.")
    other = _open(dataset, chosen or features.manifest.name, simulate)
    _check_alike(features, other)
    return other


def _auxiliary(features: FeatureSet, semantics: str) -> Auxiliary:
    return Auxiliary(
        dataset=features.dataset.name,
        features=features.manifest.name,
        features_digest=features.manifest.digest,
        simulated=features.manifest.simulated,
        semantics_digest=open_semantics(semantics, features.dataset, features.covered).digest,
        rule=AUXILIARY_RULE,
    )
