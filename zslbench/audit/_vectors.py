"""Findings about class vectors that were made from videos of the classes that they stand for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zslbench.audit.findings import Finding
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet
from zslbench.features.likeness import (
    EQUAL,
    LIKE_GEOMETRY,
    PREDICTED,
    SAME_GEOMETRY,
    SIMILAR,
    Likeness,
    Mask,
    find_likeness,
)
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.store import list_semantics


def finished_sources(dataset: str) -> list[str]:
    """Return the imported sources of finished class vectors of a dataset; nobody sees where these come from."""
    try:
        return [each.name for each in list_semantics() if dataset in each.datasets]
    except ZslbenchError:
        return []


def check_likeness(
    features: FeatureSet, spec: str, unseen: frozenset[str], *, search_now: bool = True
) -> Iterator[Finding]:
    """Yield L8 and W16 about class vectors that come from videos of unseen classes.

    Parameters
    ----------
    spec
        The class vectors.
    unseen
        The classes that are unseen in any split.
    search_now
        Whether to compare if no comparison is stored.
    """
    if features.manifest.simulated:  # simulated features are made from class vectors
        return
    try:
        vectors = open_semantics(spec, features.dataset, features.covered)
        found = find_likeness(features, vectors, search_now=search_now)
    except ZslbenchError:
        return
    if found is None:
        return
    where = f"{features.dataset.name}, class vectors {spec}, compared with {features.manifest.name}"
    asked = np.isin(found.names, list(unseen))
    geometry, predicted = found.geometry(asked), found.predicted(asked)
    equal, similar = found.equal & asked, found.similar & asked
    exact, close = [], []
    if equal.any():
        exact.append(
            f"{equal.sum()} of {asked.sum()} unseen classes have as vector the mean of their own videos, or one of "
            f"these (cosine of at least {EQUAL})"
        )
    if similar.any():
        said = f"{similar.sum()} of {asked.sum()} unseen classes have a vector like the mean of their own videos"
        close.append(f"{said} (cosine of at least {SIMILAR})")
    if geometry is not None and geometry >= LIKE_GEOMETRY:
        (exact if geometry >= SAME_GEOMETRY else close).append(
            f"similarities among these vectors and among the means of their videos: correlation {geometry:.4f} (of at "
            f"least {SAME_GEOMETRY if geometry >= SAME_GEOMETRY else LIKE_GEOMETRY})"
        )
    if predicted is not None and predicted[0] >= PREDICTED:
        close.append(
            f"a linear map from the videos' means predicts the vectors of classes left out: R2 {predicted[0]:.2f} (of "
            f"at least {PREDICTED}); of shuffled vectors at most {predicted[1]:.2f}"
        )
    if exact:
        yield Finding("L8", where, (*exact, *close, *_lines(found, equal)), _named(found, equal, asked))
    elif close:
        yield Finding("W16", where, (*close, *_lines(found, similar)), _named(found, similar, asked))


def _lines(found: Likeness, which: Mask) -> Iterator[str]:
    for i in np.flatnonzero(which)[np.argsort(-found.cosine[which], kind="stable")]:
        yield f"{found.names[i]}: cosine {found.cosine[i]:.4f}"


def _named(found: Likeness, which: Mask, asked: Mask) -> tuple[str, ...]:
    """Return the classes concerned; all if the finding is about all of them together."""
    return tuple(found.names[which if which.any() else asked].tolist())
