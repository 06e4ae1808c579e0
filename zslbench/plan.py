"""The plan: an experiment's grid -> cells. Nothing else enumerates cells."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from zslbench.cell import Cell, Protocol, source_digest
from zslbench.dataset import Dataset
from zslbench.errors import CoverageError, ZslbenchError, suggest
from zslbench.features import SIMULATED, FeatureSet, list_features, open_features
from zslbench.inputs import family_vectors, run_texts
from zslbench.method import Budget, Method, MethodParams
from zslbench.registry import get_dataset, get_method
from zslbench.splits import SplitFamily, parse_splits
from zslbench.texts import SHIPPED

DEFAULT_SPLITS = "2"


class Experiment(BaseModel):
    """What is to be run; the command line's options and a TOML file say the same.

    Attributes
    ----------
    method
        Names, with a preset after a colon where wanted: ``action2vec:paper``.
    features
        Names of feature sets; empty for the dataset's only imported one, or the simulated one where there is none.
    family
        A split family; ``None`` for ``xu-50/50`` where dataset and features allow it, else ``random-50/50``.
    splits
        ``5``, ``0:10``, ``3,7`` or ``all``.
    texts
        Name of the class texts that methods with the budget ``class-texts`` read.
    set
        Method (or method:preset) -> parameter -> value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: tuple[str, ...]
    dataset: tuple[str, ...]
    features: tuple[str, ...] = ()
    semantics: tuple[str, ...] = ("minilm",)
    protocol: tuple[Protocol, ...] = ("zsl",)
    family: str | None = None
    splits: str = DEFAULT_SPLITS
    seed: tuple[int, ...] = (0,)
    texts: str | None = None
    set: dict[str, dict[str, Any]] = {}

    @field_validator("method", "dataset", "features", "semantics", "protocol", "seed", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("splits", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


def read_experiment(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML experiment file.

    Raises
    ------
    ZslbenchError
        The file is absent, no TOML, or has keys that an experiment has not.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ZslbenchError(f"cannot read the experiment file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZslbenchError(f"{path} is not valid TOML: {error}.") from error
    for key in settings:
        if key not in Experiment.model_fields:
            raise ZslbenchError(f"{path} has an unknown key {key!r}.{suggest(key, Experiment.model_fields)}")
    return settings


def make_experiment(settings: Mapping[str, Any]) -> Experiment:
    """Return a validated experiment.

    Raises
    ------
    ZslbenchError
        A setting is missing or of the wrong type.
    """
    try:
        return Experiment.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ZslbenchError(f"--{name}: {first['msg']} (got {first['input']!r}).") from error


def parse_settings(texts: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return method -> parameter -> value from texts such as ``action2vec.epochs=20``; ``null`` leaves one unset.

    Raises
    ------
    ZslbenchError
        A text is not of that form.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        method, dot, parameter = target.rpartition(".")
        if not (equals and dot and method and parameter):
            raise ZslbenchError(f"--set {text!r} is not understood; write METHOD.PARAMETER=VALUE.")
        try:
            settings.setdefault(method, {})[parameter] = json.loads(value)
        except ValueError:
            settings.setdefault(method, {})[parameter] = value
    return settings


def resolve_method(label: str, settings: Mapping[str, Mapping[str, Any]]) -> tuple[type[Method], MethodParams]:
    """Return the method of ``name`` or ``name:preset`` and its validated parameters.

    Raises
    ------
    ZslbenchError
        The method, preset or a parameter is unknown (with suggestions), or a value is of the wrong type or range.
    """
    name, _, preset = label.partition(":")
    method = get_method(name)
    if preset and preset not in method.presets:
        raise ZslbenchError(f"{name} has no preset {preset!r}.{suggest(preset, method.presets)}")
    values = {**(method.presets[preset] if preset else {}), **settings.get(name, {}), **settings.get(label, {})}
    for key in values:
        if key not in method.Params.model_fields:
            raise ZslbenchError(f"{name} has no parameter {key!r}.{suggest(key, method.Params.model_fields)}")
    try:
        return method, method.Params.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise ZslbenchError(f"{name}.{where}: {first['msg']} (got {first['input']!r}).") from error


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
        names = {*experiment.method, *(label.partition(":")[0] for label in experiment.method)}
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
    if seen.manifest.dim != features.manifest.dim:
        raise ZslbenchError(
            f"{seen.title} has {seen.manifest.dim} values a frame and {features.title} {features.manifest.dim}; "
            f"import both from one extractor."
        )
    ours, theirs = (found.manifest.transform for found in (features, seen))
    if (ours and (ours.dim, ours.fit, ours.whiten)) != (theirs and (theirs.dim, theirs.fit, theirs.whiten)):
        raise ZslbenchError(
            f"{seen.title} and {features.title} are not derived alike; give both the same name by the same "
            f"'zslbench features transform'."
        )
    missing = sorted({n for split in family.splits for n in split.seen} - set(seen.covered))
    if missing:
        raise CoverageError(
            f"{family.name} trains on {len(missing)} classes that {seen.title} lacks ({', '.join(missing[:4])}"
            f"{', ...' if len(missing) > 4 else ''}); import features of them too."
        )
    return seen


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
    if features.manifest.simulated:
        plan.simulated = True
    indices = parse_splits(experiment.splits, len(family))
    if features.manifest.kind == "pooled":
        for label in sorted({label for label, method, _ in methods if method.info.wants == "sequences"}):
            plan.notices.append(f"{label} looks at sequences; {features.title} is pooled: one frame a video.")
    texts = experiment.texts or SHIPPED
    texts_digest: str | None = None
    reads = {label for label, method, params in methods if Budget.CLASS_TEXTS in method(params).budget}
    if reads:
        *_, texts_digest = run_texts(texts, dataset.name, first.seen_dataset)
    elif experiment.texts:
        plan.notices.append(f"no method of this run reads class texts: --texts {texts} changes nothing.")
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
            texts=texts if label in reads else None,
            texts_digest=texts_digest if label in reads else None,
            protocol=protocol,
            family=family.name,
            family_digest=family.digest,
            split=index,
            split_digest=split.digest,
            repeats=repeated[split.digest],
            family_size=len(family),
            seed=seed,
            budget=tuple(sorted(method(params).budget)),
            reconstruction=method.info.reconstruction,
            simulated=features.manifest.simulated,
        )
