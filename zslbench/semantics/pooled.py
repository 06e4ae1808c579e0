"""Vectors of phrases that a shipped table lacks: means of the vectors of their words.

A table ``NAME.npz`` of phrases has ``NAME-words.npz`` beside it, with ``words`` and ``vectors`` (int8, any length).
Without this file nothing is pooled.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.semantics.words import unit

_NUMBERS = {
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight",
    "9": "nine", "10": "ten",
}  # fmt: skip


class Pooled(NamedTuple):
    """A phrase whose vector is the mean of its known words' unit vectors.

    Attributes
    ----------
    words
        The words that are known, in the form in which they are (:func:`known_form`), as often as they occur.
    unknown
        The words that the mean leaves out.
    vector
        (d,) float16, of unit length.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> found = pool_phrases(get_dataset("ucf101").vectors["minilm"], ["walking zebu dog"])["walking zebu dog"]
    >>> found.words, found.unknown, found.vector.shape
    (('walking', 'dog'), ('zebu',), (384,))
    """

    words: tuple[str, ...]
    unknown: tuple[str, ...]
    vector: NDArray[np.float16]


def pool_phrases(table: Path, phrases: Iterable[str]) -> dict[str, Pooled]:
    """Return the pooled vectors of the phrases of which at least one word is known.

    Parameters
    ----------
    table
        The ``.npz`` file of a shipped table.
    phrases
        Phrases of lower-case words. Those without a known word are left out.
    """
    found: dict[str, Pooled] = {}
    if not (phrases := list(phrases)):
        return found
    known = known_words(table)
    for phrase in phrases:
        parts = {word: known_form(word, known) for word in phrase.split()}
        words = tuple(form for word in phrase.split() if (form := parts[word]))
        if any(form and not word.isdigit() for word, form in parts.items()):  # a number alone is no action
            mean = unit(np.stack([known[word] for word in words]).astype(np.float64)).mean(axis=0)
            unknown = tuple(word for word, form in parts.items() if not form)
            # Rounded as the table's rows are: the last bits depend on the machine and on the order of the words.
            found[phrase] = Pooled(words, unknown, unit(mean).astype(np.float16))
    return found


def pooled_classes(source: str, dataset: Dataset) -> dict[str, Pooled]:
    """Return class -> its pooled vector, for the classes that a shipped source lacks and knows a word of."""
    table = dataset.vectors.get(source)
    if table is None or not _words_file(table).is_file():
        return {}
    held = shipped_phrases(table)
    absent = {name: phrase for name in dataset.classes if (phrase := dataset.phrase(name)) not in held}
    found = pool_phrases(table, absent.values())
    return {name: found[phrase] for name, phrase in absent.items() if phrase in found}


def shipped_phrases(table: Path) -> set[str]:
    """Return the phrases of a table."""
    with np.load(table, allow_pickle=False) as arrays:
        return set(arrays["phrases"].tolist())


def _words_file(table: Path) -> Path:
    return table.with_name(f"{table.stem}-words.npz")


def known_form(word: str, known: Collection[str]) -> str:
    """Return how a word is known: as it is, without accents, or a small number in letters; empty if it is not.

    >>> [known_form(word, {"cafe", "two", "run"}) for word in ("run", "café", "2", "zebu")]
    ['run', 'cafe', 'two', '']
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    return next((form for form in (word, plain, _NUMBERS.get(word, "")) if form in known), "")


@lru_cache(maxsize=2)
def known_words(table: Path) -> Mapping[str, NDArray[np.floating | np.signedinteger]]:
    """Return word -> vector, (d,), not normalised: the table's own, and those of the file of words beside it."""
    if not (beside := _words_file(table)).is_file():
        return {}
    with np.load(beside, allow_pickle=False) as more, np.load(table, allow_pickle=False) as own:
        rows = dict(zip(more["words"].tolist(), more["vectors"], strict=True))
        # A word of the table keeps its exact vector.
        return rows | {p: row for p, row in zip(own["phrases"].tolist(), own["vectors"], strict=True) if " " not in p}
