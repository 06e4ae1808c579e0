"""A made-up world in which the texts of a class tell what its videos look like."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zslbench.method import Classes, SeenVideos, Videos

DIM = 8


class Teller:
    """Texts are numbers: ``class 3 / 1`` is the second thing said of class 3, its vector plus a little noise.

    A text without a number, such as the word ``class``, is noise.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        rows = np.zeros((len(texts), self.vectors.shape[1]), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            numbers = [int(number) for number in re.findall(r"\d+", text)]
            row += 0.1 * np.random.default_rng(numbers).normal(size=len(row))
            if numbers:
                row += self.vectors[numbers[0]]
        return rows


def world(
    *, seed: int = 0, n_seen: int = 16, n_unseen: int = 4, per_class: int = 12, said: int = 4, turned: bool = False
) -> tuple[SeenVideos, Classes, Videos, Classes]:
    """Return seen videos and classes, unseen videos (class after class) and classes; frames are noisy class vectors.

    Parameters
    ----------
    turned
        Whether frames lie in a space of their own, turned against that of the class vectors.
    """
    rng = np.random.default_rng(seed)
    n = n_seen + n_unseen
    vectors = rng.standard_normal((n, DIM)).astype(np.float32)
    turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0] if turned else np.eye(DIM)
    labels = np.repeat(np.arange(n), per_class)
    arrays = [vectors[c] @ turn + 0.5 * rng.standard_normal((int(rng.integers(1, 6)), DIM)) for c in labels]
    encode = Teller(vectors)
    classes = Classes(
        names=tuple(f"class {i}" for i in range(n)),
        vectors=vectors + 0.3 * rng.standard_normal(vectors.shape).astype(np.float32),
        texts=tuple(tuple(f"class {i} / {k}" for k in range(1 + said)) for i in range(n)),
        encode=encode,
    )
    known = labels < n_seen
    seen = SeenVideos.from_arrays([a for a, k in zip(arrays, known, strict=True) if k], labels=labels[known])
    unseen = Videos.from_arrays([a for a, k in zip(arrays, known, strict=True) if not k])
    return seen, classes.take(np.arange(n_seen)), unseen, classes.take(np.arange(n_seen, n))
