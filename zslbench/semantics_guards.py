"""What class vectors are refused for: zeros, values that are no numbers, two classes that are the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError

_EQUAL = 1e-6  # relative distance below which two class vectors are the same but for rounding


def check_values(source: str, names: Sequence[str], vectors: NDArray[np.float64], where: str) -> None:
    """Raise :class:`ZslbenchError` where a row of (k, d) vectors is zero or not finite."""
    bad = [
        name for name, vector in zip(names, vectors, strict=True) if not (np.isfinite(vector).all() and vector.any())
    ]
    if bad:
        raise ZslbenchError(
            f"{source} has a zero or non-finite vector for {some(bad)} of {where}; mend it and import it again."
        )


def check_distinct(source: str, names: Sequence[str], vectors: NDArray[np.float64], where: str) -> None:
    """Raise :class:`ZslbenchError` where two rows of (k, d) vectors are equal but for rounding."""
    norms = np.linalg.norm(vectors, axis=1)
    for i in range(1, len(vectors)):
        distance = np.linalg.norm(vectors[:i] - vectors[i], axis=1)
        near = np.flatnonzero(distance <= _EQUAL * np.maximum(norms[:i], norms[i]))
        if near.size:
            raise ZslbenchError(
                f"{source} gives {names[near[0]]} and {names[i]} of {where} equal vectors, so no method can tell them "
                f"apart; use another name-edit table or another source."
            )


def some(names: Sequence[str]) -> str:
    """Return the first six names, and how many more there are."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
