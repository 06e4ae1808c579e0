"""The token vectors of a text, from the text tower that made the class vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class TokenVectors(NamedTuple):
    """The token vectors of one text.

    Attributes
    ----------
    rows
        (k, d) vectors in the space of the class vectors, not of unit length. There is one for each position of the
        prompted text, from its start to its end. A class name also has the padding's, if its tower has a fixed length.
    words
        (k,) bool, the positions of the text itself; the others are of the prompt around it, start, end and padding.

    Examples
    --------
    >>> tokens = TokenVectors(np.eye(4, 2, dtype=np.float16), np.array([False, True, True, False]))
    >>> tokens.rows[tokens.words].shape
    (2, 2)
    """

    rows: NDArray[np.floating[Any]]
    words: NDArray[np.bool_]
