"""Plan an experiment: turn its grid into cells. No other module makes cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from zslbench.cells.cell import Auxiliary, Cell, Control
from zslbench.cells.source import source_digest
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.splits import SplitFamily, parse_splits
from zslbench.errors import CoverageError, NotFoundError, ZslbenchError
from zslbench.families.catalog import shared_text
from zslbench.features.catalog import list_features
from zslbench.features.ensemble import EnsembleFeatures, part_names
from zslbench.features.feature_set import FeatureSet
from zslbench.features.video_lists import held_out_list
from zslbench.method import Budget
from zslbench.overlap.auxiliary import AUXILIARY_NEAR, AUXILIARY_RULE, compare_auxiliary
from zslbench.protocols.protocol import PROTOCOLS, Protocol
from zslbench.registry import METHODS
from zslbench.run.controls import check_controls, control_notices
from zslbench.run.experiment import Experiment
from zslbench.run.families import lacking_videos, open_family
from zslbench.run.fitness import refuse_apart, why_unfit
from zslbench.run.inputs import check_alike, family_vectors, run_texts, side_datasets
from zslbench.run.sources import (
    Simulate,
    class_vectors_for,
    feature_sets,
    named_features,
    refuse_other_model,
    refuse_without_tower,
)
from zslbench.run.split_videos import check_held_out, check_listed, split_videos
from zslbench.run.variants import Variant, check_targets, variants
from zslbench.semantics.attributes import DERIVED, open_attributes
from zslbench.semantics.class_vectors import ClassVectors, open_semantics
from zslbench.semantics.texts import SHIPPED


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


def make_plan(
    experiment: Experiment, *, simulate: Simulate | None = None, tested: bool = True, own_vectors: bool = True
) -> Plan:
    """Return the cells of an experiment; open and check all inputs before the first cell runs.

    Parameters
    ----------
    simulate
        Function from a dataset to its simulated feature set, called if a dataset has no imported features.
    tested
        Whether accuracies are measured, so that splits with one unseen class are refused.
    own_vectors
        Whether methods get the class vectors of the plan, so that these are compared with the features.

    Raises
    ------
    ZslbenchError
        A setting or an input is unknown, missing or does not match the others; the message names the remedy.
    """
    check_targets(experiment.method, experiment.set)
    labels = dict.fromkeys(experiment.method)
    chosen = [variant for label in labels for variant in variants(label, experiment.set)]
    controls = (None, *dict.fromkeys(experiment.control))
    plan = Plan(notices=list(control_notices(experiment.control, chosen)))
    cells = []
    for dataset_name in dict.fromkeys(experiment.dataset):
        for features in feature_sets(get_dataset(dataset_name), experiment.features, simulate):
            check_controls(experiment.control, features)
            at_hand = _zsar_at_hand(features, chosen)
            families = {p: open_family(experiment, p, features, trained_on_zsar=at_hand) for p in experiment.protocol}
            sources, about = dict.fromkeys(experiment.semantics), ""
            if not sources:
                source, about = class_vectors_for(features)
                sources = {source: None}
            plan.notices += [about] * bool(about)
            for semantics, protocol in product(sources, families):
                inputs = _Inputs.open(experiment, chosen, features, families[protocol], protocol, semantics, simulate)
                indices = chosen_splits(experiment.splits, inputs.family)
                if tested:
                    inputs.family.check_unseen(indices)
                if own_vectors:
                    methods = [each.method(each.params) for each in chosen]
                    for part in features.parts:
                        refuse_apart(methods, part.manifest.dim, inputs.vectors_dim)
                        refuse_other_model(methods, part, semantics)
                    refuse_without_tower(methods, semantics, features.dataset)
                inputs.check_videos(indices, trains=any(one.trains for one in chosen), tested=tested)
                plan.notices += inputs.notices(chosen)
                plan.simulated |= inputs.simulated
                grid = product(indices, experiment.seed, chosen, controls)
                cells += [inputs.cell(method, index, seed, control) for index, seed, method, control in grid]
    distinct: dict[str, Cell] = {}
    for cell in sorted(cells, key=lambda cell: cell.split):
        distinct.setdefault(cell.id, cell)
    plan.cells = list(distinct.values())
    return plan


def _check_methods(chosen: Sequence[Variant], family: SplitFamily, protocol: Protocol) -> None:
    """Refuse methods that cannot run in a protocol, or train where a family has no class to train on."""
    for one in chosen:
        if unfit := why_unfit(one.method(one.params), protocol):
            raise ZslbenchError(unfit)
    trained = [one.label for one in chosen if one.trains]
    if trained and not family.splits[0].seen:
        raise ZslbenchError(
            f"{family.name} has no training classes, and {trained[0]} trains; add --train DATASET, or choose an "
            f"untrained method such as nearest-text."
        )


def _seen_features(
    family: SplitFamily, protocol: Protocol, features: FeatureSet, simulate: Simulate | None, trained: Sequence[Variant]
) -> FeatureSet | None:
    """Return the other dataset's features of the same name, which must cover every seen class.

    Without a method that trains, they may be missing, unless the protocol tests videos of seen classes.
    """
    name, dataset = features.manifest.name, get_dataset(family.splits[0].seen_dataset or "")
    try:
        seen = named_features(dataset, name, simulate)
    except NotFoundError as error:
        if not trained and not PROTOCOLS[protocol].tests_seen:
            return None
        needs = f"{trained[0].label} trains on" if trained else f"{protocol} also tests videos of"
        raise NotFoundError(
            f"{needs} {dataset.name}, which has no feature set {name!r}; import the same "
            f"extractor's features of it by 'zslbench features import {dataset.name} {name} ...'."
        ) from error
    check_alike(features, seen)
    missing = sorted({n for split in family.splits for n in split.seen} - set(seen.covered))
    if missing:
        raise CoverageError(
            f"{family.name} trains on {len(missing)} classes that {seen.title} lacks ({', '.join(missing[:4])}"
            f"{', ...' if len(missing) > 4 else ''}); import features of them too."
        )
    return seen


def _zsar_at_hand(features: FeatureSet, chosen: Sequence[Variant]) -> bool:
    """Return whether the training classes of ``kinetics-zsar`` have features, or no method needs them."""
    there = {name for _, name in list_features("kinetics400")}
    return there.issuperset(part_names(features.manifest.name)) or not any(one.trains for one in chosen)


def chosen_splits(text: str | None, family: SplitFamily) -> list[int]:
    """Return the indices of the splits to run; without ``--splits``, a few for a first trial."""
    return parse_splits(text or str(min(family.first_trial, len(family))), len(family))


@dataclass(frozen=True)
class _Inputs:
    """The inputs that the cells of one feature set and one source of class vectors share, opened and checked once."""

    features: FeatureSet
    seen_features: FeatureSet | None
    auxiliary_features: FeatureSet | None
    auxiliary: Auxiliary | None
    family: SplitFamily
    protocol: Protocol
    repeats: Mapping[str, int]
    semantics: str
    semantics_digest: str
    vectors_dim: int
    pooled: str
    calibrate: bool
    held_out: tuple[str, str] | None
    sides: _Sides

    @classmethod
    def open(
        cls,
        experiment: Experiment,
        chosen: Sequence[Variant],
        features: FeatureSet,
        family: SplitFamily,
        protocol: Protocol,
        semantics: str,
        simulate: Simulate | None,
    ) -> _Inputs:
        dataset = features.dataset
        _check_methods(chosen, family, protocol)
        seen_dataset = family.splits[0].seen_dataset
        trained = [one for one in chosen if one.trains]
        seen_features = _seen_features(family, protocol, features, simulate, trained) if seen_dataset else None
        listed = held_out_list(seen_features or features) if protocol == "gzsl" and not family.has_own_lists else None
        vectors, others, semantics_digest = family_vectors(semantics, dataset, family)
        auxiliary_features = _auxiliary_features(experiment, features, seen_features, simulate)
        auxiliary, auxiliary_vectors = _auxiliary(auxiliary_features, semantics)
        used = ((dataset.name, vectors), (seen_dataset, others), (auxiliary and auxiliary.dataset, auxiliary_vectors))
        return cls(
            features=features,
            seen_features=seen_features,
            auxiliary_features=auxiliary_features,
            auxiliary=auxiliary,
            family=family,
            protocol=protocol,
            repeats=Counter(split.digest for split in family.splits),
            semantics=semantics,
            semantics_digest=semantics_digest,
            vectors_dim=vectors.vectors.shape[1],
            pooled="; ".join(f"{name}: {each.pooled_text}" for name, each in used if each and each.pooled),
            calibrate=experiment.calibrate or protocol != "gzsl",
            held_out=(listed.name, listed.digest) if listed else None,
            sides=_Sides.open(experiment, chosen, side_datasets(dataset.name, seen_dataset, auxiliary)),
        )

    @property
    def simulated(self) -> bool:
        return self.features.manifest.simulated or (self.auxiliary is not None and self.auxiliary.simulated)

    def check_videos(self, indices: Sequence[int], *, trains: bool, tested: bool) -> None:
        """Refuse splits whose lists of videos the feature set lacks, and classes without training or test videos."""
        held_out = self.held_out[0] if self.held_out else ""
        splits = [self.family.splits[i] for i in indices]
        for split in (split for split in splits if split.videos):
            trained_on = self.seen_features if split.seen_dataset else self.features
            chosen = split_videos(split, self.protocol, self.features, trained_on, held_out)
            if trains and trained_on:
                check_listed(split, chosen, trained_on)
        if self.protocol == "gzsl" and tested and not self.family.has_own_lists:
            seen = tuple(sorted({name for split in splits for name in split.seen}))
            needs = trains or self.calibrate  # calibration chooses its factor on training videos
            check_held_out(self.seen_features or self.features, seen, held_out, trains=needs)

    def notices(self, chosen: Sequence[Variant]) -> Iterator[str]:
        """Yield notes for the user about these inputs, before the run starts."""
        if self.auxiliary_features:
            yield self._about_auxiliary(self.auxiliary_features)
        if self.pooled:
            yield f"{self.semantics} of {self.pooled} (docs/class-vectors.md)."
        if isinstance(self.features, EnsembleFeatures):
            yield from self.features.notices
        for part in (part for part in self.features.parts if part.manifest.kind == "pooled"):
            for label in sorted({one.label for one in chosen if one.method.info.wants == "sequences"}):
                yield f"{label} reads sequences, but {part.title} is pooled: one frame per video."
        if self.protocol == "gzsl" and self.calibrate:
            yield (
                "gzsl fits each method twice, the second time for calibrated stacking, which doubles the time; "
                "--no-calibrate leaves that out."
            )
        yield from self.sides.notices
        if shared := shared_text(self.features.dataset.name, self.family.name):
            yield shared
        if lacks := lacking_videos(self.family, self.features):
            yield lacks
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

    def cell(self, chosen: Variant, index: int, seed: int, control: Control | None) -> Cell:
        info, split, sides = chosen.method.info, self.family.splits[index], self.sides
        local = METHODS.is_local(info.name.partition("+")[0])
        reads_texts, reads_attributes = (kind in chosen.budget for kind in (Budget.CLASS_TEXTS, Budget.ATTRIBUTES))
        derives = reads_attributes and sides.attributes == DERIVED  # from the texts
        return Cell(
            method=info.name,
            label=chosen.label,
            variant=chosen.full_text if local else chosen.text,
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
            pooled=self.pooled,
            texts=sides.texts if reads_texts or derives else None,
            texts_digest=sides.texts_digest if reads_texts else None,
            attributes=sides.attributes if reads_attributes else None,
            attributes_digest=sides.attributes_digest if reads_attributes else None,
            auxiliary=self.auxiliary,
            control=control,
            calibrate=self.calibrate,
            held_out=self.held_out,
            protocol=self.protocol,
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
            local=local,
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
    other = named_features(dataset, chosen or features.manifest.name, simulate)
    check_alike(features, other)
    return other


def _auxiliary(features: FeatureSet | None, semantics: str) -> tuple[Auxiliary | None, ClassVectors | None]:
    if features is None:
        return None, None
    vectors = open_semantics(semantics, features.dataset, features.covered)
    auxiliary = Auxiliary(
        dataset=features.dataset.name,
        features=features.manifest.name,
        features_digest=features.manifest.digest,
        simulated=features.manifest.simulated,
        semantics_digest=vectors.digest,
        rule=AUXILIARY_RULE,
    )
    return auxiliary, vectors
