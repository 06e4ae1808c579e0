"""Refuse class vectors that no method can work with: zero, not finite, or equal ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError, some

_EQUAL = 1e-6  # relative distance up to which two class vectors count as equal: rounding in float32 is about 1e-7


def check_values(source: str, names: Sequence[str], vectors: NDArray[np.float64], where: str) -> None:
    """Raise :class:`ZslbenchError` if a row of (k, d) vectors is zero or not finite."""
    bad = [
        name for name, vector in zip(names, vectors, strict=True) if not (np.isfinite(vector).all() and vector.any())
    ]
    if bad:
        raise ZslbenchError(
            f"{source} has a zero or non-finite vector for {some(bad)} of {where}; fix it and import it again."
        )


def check_distinct(source: str, names: Sequence[str], vectors: NDArray[np.float64], where: str) -> None:
    """Raise :class:`ZslbenchError` if two rows of (k, d) vectors are equal up to rounding."""
    norms = np.linalg.norm(vectors, axis=1)
    # Row by row: the differences of all pairs at once would take n times the memory.
    for i in range(1, len(vectors)):
        distance = np.linalg.norm(vectors[:i] - vectors[i], axis=1)
        near = np.flatnonzero(distance <= _EQUAL * np.maximum(norms[:i], norms[i]))
        if near.size:
            raise ZslbenchError(
                f"{source} gives {names[near[0]]} and {names[i]} of {where} equal vectors, so no method can "
                f"distinguish them; use another name-edit table or another source."
            )
