"""Refuse class vectors that no method can work with: zero, not finite, or equal ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.own_words import words_apart, words_remedy
from zslbench.errors import ZslbenchError, some

_EQUAL = 1e-6  # relative distance up to which two class vectors count as equal: rounding in float32 is about 1e-7


class EqualVectorsError(ZslbenchError):
    """Classes have equal vectors, so that no method can distinguish them.

    Attributes
    ----------
    equal
        Class -> an earlier one with the same vector.

    Examples
    --------
    >>> EqualVectorsError("minilm gives equal vectors", {"stand to sit": "sit to stand"}).equal
    {'stand to sit': 'sit to stand'}
    """

    def __init__(self, message: str, equal: Mapping[str, str]) -> None:
        super().__init__(message)
        self.equal = dict(equal)


def check_values(source: str, names: Sequence[str], vectors: NDArray[np.float64], where: str) -> None:
    """Raise :class:`ZslbenchError` if a row of (k, d) vectors is zero or not finite."""
    bad = [
        name for name, vector in zip(names, vectors, strict=True) if not (np.isfinite(vector).all() and vector.any())
    ]
    if bad:
        raise ZslbenchError(
            f"{source} has a zero or non-finite vector for {some(bad)} of {where}; fix it and import it again."
        )


def check_distinct(source: str, names: Sequence[str], vectors: NDArray[np.float64], dataset: Dataset) -> None:
    """Raise :class:`EqualVectorsError` if two rows of (k, d) vectors are equal up to rounding."""
    norms = np.linalg.norm(vectors, axis=1)
    equal: dict[str, str] = {}  # class -> an earlier one with the same vector
    # Row by row: the differences of all pairs at once would take n times the memory.
    for i in range(1, len(vectors)):
        distance = np.linalg.norm(vectors[:i] - vectors[i], axis=1)
        near = np.flatnonzero(distance <= _EQUAL * np.maximum(norms[:i], norms[i]))
        if near.size:
            equal[names[i]] = names[near[0]]
    if equal:
        second, first = next(iter(equal.items()))
        more = f" (as {len(equal) - 1} other pairs)" if len(equal) > 1 else ""
        tables = "another name-edit table or " if len(dataset.phrases) > 1 else ""
        raise EqualVectorsError(
            f"{source} gives {first} and {second} of {dataset.name} equal vectors{more}, so no method can distinguish "
            f"them; {words_remedy(dataset, words_apart(dataset, equal)) or f'use {tables}another source'}.",
            equal,
        )
