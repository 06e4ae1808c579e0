"""What is said of classes, as vectors: their texts and the words of their names, each encoded once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.kernels import normalised
from zslbench.method import Classes
from zslbench.tokens import TokenVectors
from zslbench.videos import FloatArray

_Said = TypeVar("_Said", str, TokenVectors)
_WORD = re.compile(r"\d+[a-z]*|[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def name_words(name: str) -> tuple[str, ...]:
    """Return the words of a class name in small letters, where ``_``, a space or a capital letter begins a new one.

    ``ApplyEyeMakeup`` -> apply, eye, makeup; ``massaging person's head`` -> massaging, person, head. A name without a
    letter from a to z is its own only word.
    """
    found = _WORD.findall(name.replace("'s", ""))
    return tuple(word.lower() for word in found) or (name,)


def definition(texts: Sequence[str]) -> str:
    """Return the first of a class's texts."""
    return texts[0]


def descriptions(texts: Sequence[_Said]) -> tuple[_Said, ...]:
    """Return what follows the definition, or the definition itself where nothing does; or their tokens."""
    return tuple(texts[1:]) or tuple(texts[:1])


class TextRows:
    """Unit vectors of texts in the space of the class vectors; a text is encoded when it is first asked for."""

    def __init__(self) -> None:
        self._rows: dict[str, FloatArray] = {}

    def __call__(self, classes: Classes, said: Sequence[Sequence[str]]) -> list[FloatArray]:
        """Return of each class the vectors, (k, d), of what is said of it.

        Parameters
        ----------
        classes
            With an encoder: the budget ``class-texts`` grants it.
        said
            Texts of each class, one at least.

        Raises
        ------
        OutOfVocabularyError
            The source of the class vectors cannot encode one of them.
        """
        assert classes.encode is not None  # noqa: S101  (granted with the budget)
        if absent := list(dict.fromkeys(text for each in said for text in each if text not in self._rows)):
            self._rows |= dict(zip(absent, normalised(classes.encode(absent)).astype(np.float32), strict=True))
        return [np.stack([self._rows[text] for text in each]) for each in said]


def token_rows(method: str, said: Sequence[Sequence[TokenVectors]], n_classes: int, every: bool) -> list[FloatArray]:
    """Return of each class the unit vectors, (k, d), of tokens.

    Parameters
    ----------
    method
        Its name, for the message.
    said
        The tokens of what is said of each class.
    every
        Whether all positions count, with prompt, start, end and padding, or those of the words alone.

    Raises
    ------
    ZslbenchError
        A class has none.
    """
    if len(said) < n_classes or not all(said):
        raise ZslbenchError(
            f"{method} with words=tokens or all needs token vectors, which these class vectors or texts lack; make "
            f"them with 'zslbench semantics import NAME --model MODEL --dataset DATASET --texts TEXTS --template "
            f"TEMPLATE --tokens'; BIKE's template is 'This is a video about {{}}'."
        )
    chosen = [[each.rows if every else each.rows[each.words] for each in tokens] for tokens in said]
    return [normalised(np.concatenate(rows).astype(np.float32)).astype(np.float32) for rows in chosen]


def padded(rows: Sequence[FloatArray]) -> tuple[FloatArray, np.ndarray]:
    """Return rows (k_c, d) of each class as (n_classes, max k, d) with zeros behind, and which are real."""
    counts = np.array([len(each) for each in rows])
    real = np.arange(counts.max()) < counts[:, None]
    result = np.zeros((*real.shape, rows[0].shape[1]), dtype=np.float32)
    result[real] = np.concatenate(rows)
    return result, real
