"""Which feature sets and class vectors a run takes: those of one model are found, and two models are kept apart."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.catalog import list_features, open_features
from zslbench.features.ensemble import PLUS, part_names
from zslbench.features.feature_set import SIMULATED, FeatureSet
from zslbench.method import Method
from zslbench.run.fitness import compares, without_steps
from zslbench.semantics.encoder import encoder_of
from zslbench.semantics.spec import parse_spec
from zslbench.semantics.store import list_semantics, read_semantics_manifest
from zslbench.semantics.token_tower import find_tower

DEFAULT = "minilm"
Simulate = Callable[[Dataset], FeatureSet]


def feature_sets(dataset: Dataset, chosen: Sequence[str], simulate: Simulate | None) -> Iterator[FeatureSet]:
    """Yield the feature sets of these names; without any, the only one that is imported, or the simulated one.

    A name such as ``b+a`` is that of an ensemble, the same as ``a+b``.

    Raises
    ------
    ZslbenchError
        No name is given, and the dataset has several.
    """
    names = list(dict.fromkeys(PLUS.join(part_names(name)) for name in chosen)) or imported_features(dataset)
    if not chosen and len(names) > 1:
        raise ZslbenchError(f"{dataset.name} has several feature sets; choose with --features: {', '.join(names)}.")
    for name in names or [SIMULATED]:
        yield named_features(dataset, name, simulate)


def imported_features(dataset: Dataset) -> list[str]:
    """Return the names of the feature sets that are not simulated; a damaged one raises an error when it is opened."""
    names = []
    for _, name in list_features(dataset.name):
        with contextlib.suppress(ZslbenchError):
            if open_features(dataset, name).manifest.simulated:
                continue
        names.append(name)
    return names


def named_features(dataset: Dataset, name: str, simulate: Simulate | None) -> FeatureSet:
    """Return a feature set of a dataset; the simulated one is made by ``simulate`` if it does not exist yet."""
    made = simulate(dataset) if simulate and SIMULATED in part_names(name) else None
    return made if made and name == SIMULATED else open_features(dataset, name)


def class_vectors_for(features: FeatureSet) -> tuple[str, str]:
    """Return the class vectors that a run takes by default, and what is to be said about them.

    They are those that the text tower of the features' own model made; without any, :data:`DEFAULT`.

    Raises
    ------
    ZslbenchError
        Several class vectors are of that model, or the sets of an ensemble have class vectors of different models.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.datasets.catalog import get_dataset
    >>> class_vectors_for(simulate(get_dataset("hmdb51"), videos_per_class=3))
    ('minilm', '')
    """
    if len(features.parts) > 1:
        told = [class_vectors_for(part) for part in features.parts]
        if len({source for source, _ in told}) > 1:
            apart = ", ".join(f"{part.manifest.name}: {to[0]}" for part, to in zip(features.parts, told, strict=True))
            raise ZslbenchError(
                f"the sets of {features.title} have class vectors of different models ({apart}), and an ensemble takes "
                f"one source for all; choose it with --semantics."
            )
        return told[0]
    weights, dataset = features.manifest.weights_digest, features.dataset.name
    held = list_semantics() if weights else []
    found = [each.name for each in held if each.weights == weights and dataset in each.datasets]
    if len(found) > 1:
        raise ZslbenchError(
            f"several class vectors are of the model of {features.title}: {', '.join(found)}; choose with --semantics."
        )
    if not found:
        return DEFAULT, ""
    return found[0], f"class vectors {found[0]}, of the same model as {features.title}; --semantics chooses others."


def refuse_other_model(methods: Iterable[Method], features: FeatureSet, semantics: str) -> None:
    """Refuse a method that compares features with class vectors if these are of two models, or in two spaces.

    Raises
    ------
    ZslbenchError
        As :func:`refuse_other_weights`.
    """
    name = parse_spec(semantics)[0]
    try:
        other = read_semantics_manifest(name).weights
    except NotFoundError:  # shipped class vectors
        table = features.dataset.vectors.get(name)
        other = (encoder_of(table) or "") if table else ""
    refuse_other_weights(methods, features, name, other)


def refuse_without_tower(methods: Iterable[Method], semantics: str, dataset: Dataset) -> None:
    """Refuse a method that needs the encoder of its class vectors if these have none here.

    Raises
    ------
    ZslbenchError
        As :func:`zslbench.semantics.token_tower.find_tower`.
    """
    if needs := next((each.info.name for each in methods if without_steps(each).info.tower), None):
        try:
            find_tower(semantics, dataset)
        except ZslbenchError as error:
            raise ZslbenchError(f"{needs} needs the text tower of its class vectors: {error}") from error


def refuse_other_weights(methods: Iterable[Method], features: FeatureSet, name: str, other: str) -> None:
    """Refuse a method that compares features with the class vectors ``name`` of the weights ``other``, if it cannot.

    Raises
    ------
    ZslbenchError
        The digests of both models' weights are known and differ, or the features are projected by a PCA, which class
        vectors are not.
    """
    weights, step = features.manifest.weights_digest, features.manifest.transform
    unlike = bool(weights and other and weights != other)
    if not (step or unlike):
        return
    apart = next((each.info.name for each in methods if compares(each, features.manifest.dim)), None)
    if apart and step:
        raise ZslbenchError(
            f"{apart} compares features with class vectors, but {features.title} are projected by a PCA and class "
            f"vectors are not; use --features {step.parent}."
        )
    if apart and weights:
        raise ZslbenchError(
            f"{apart} compares features with class vectors of one model, but {features.title} is of weights "
            f"{weights[:12]} and {name} of weights {other[:12]}; import class vectors of the features' model by "
            f"'zslbench semantics import NAME --model MODEL --dataset {features.dataset.name}'."
        )
