"""Word vectors: look up the words of class names in a memory map, and pool them into class vectors."""

from __future__ import annotations

import difflib
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.own_words import BLANK, words_remedy
from zslbench.errors import OutOfVocabularyError
from zslbench.semantics.spec import SubwordParams, WordParams
from zslbench.semantics.store import SemanticsManifest, check_files, semantics_root

_CANDIDATES = 4000  # entries that difflib compares with an unknown word: the most frequent with its first letters


class WordVectors:
    r"""The word vectors of a source of kind ``words``; the words are read line by line and not kept in memory.

    Parameters
    ----------
    manifest
        The source's manifest.

    Raises
    ------
    ZslbenchError
        A file has changed since the import.

    Examples
    --------
    >>> from pathlib import Path
    >>> from zslbench.semantics.importing import import_semantics
    >>> _ = Path("glove.txt").write_text("run 0.1 0.3\nNordic 0.2 0.3\n")
    >>> words = WordVectors(import_semantics("glove", Path("glove.txt")))
    >>> words.find(["run", "nordic", "juggle"])["nordic"]
    ('Nordic', 1)
    """

    def __init__(self, manifest: SemanticsManifest) -> None:
        self.name = manifest.name
        self._subwords = manifest.subwords
        self._folder = semantics_root() / manifest.name
        check_files(self._folder, manifest.files)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """(n_words, d) memory map."""
        vectors: NDArray[np.float32] = np.load(self._folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        return vectors

    def made_of_parts(self, word: str) -> NDArray[np.float32] | None:
        """Return the vector that fastText gives an unknown word, (d,): the mean of those of its parts.

        It is ``None`` if the source has no vectors of parts, or the word has no part.
        """
        from gensim.models.fasttext import ft_ngram_hashes

        if (parts := self._subwords) is None:
            return None
        rows = ft_ngram_hashes(word, parts.shortest, parts.longest, parts.buckets)
        vectors = np.load(self._folder / "subwords.npy", mmap_mode="r", allow_pickle=False)
        return vectors[rows].mean(axis=0, dtype=np.float64).astype(np.float32) if rows else None

    def _lines(self) -> Iterator[bytes]:
        with (self._folder / "words.txt").open("rb") as stream:
            for line in stream:
                yield line[:-1]

    def first(self, n: int) -> list[str]:
        """Return the first ``n`` words."""
        return [line.decode() for line in itertools.islice(self._lines(), n)]

    def find(self, words: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Return word -> (known spelling, its row): the word as it is, or else capitalised.

        Words that are unknown in both spellings are left out.
        """
        words = set(words)
        # Compared as bytes: decoding each of millions of words would be wasted work.
        wanted = {form.encode() for word in words for form in (word, word.capitalize())}
        # The last row of a word that occurs twice: of ConceptNet, the word after one of its senses.
        rows = {line.decode(): row for row, line in enumerate(self._lines()) if line in wanted}
        found = {}
        for word in words:
            spelling = word if word in rows else word.capitalize()
            if spelling in rows:
                found[word] = (spelling, rows[spelling])
        return found

    def nearest(self, words: Iterable[str]) -> dict[str, list[str]]:
        """Return the most similar known spellings of each unknown word or phrase, three at most.

        Entries that differ only in case, underscores and hyphens come first (``balance beam`` -> ``Balance_Beam``).
        The others are difflib's choice among the most frequent entries with the same first letters.
        """
        keys = {word: _key(word) for word in words}
        same: dict[str, list[str]] = {key: [] for key in keys.values()}
        alike: dict[str, list[str]] = {key[:2]: [] for key in keys.values()}
        for line in self._lines():
            entry = line.decode()
            key = _key(entry)
            if key in same:
                same[key].append(entry)
            if len(near := alike.get(key[:2], ())) < _CANDIDATES and isinstance(near, list):
                near.append(entry)
        result = {}
        for word, key in keys.items():
            close = difflib.get_close_matches(word, alike[key[:2]], n=3, cutoff=0.75) if " " not in word else []
            result[word] = list(dict.fromkeys([*same[key], *close]))[:3]
        return result


def _key(text: str) -> str:
    return text.lower().replace("_", "").replace("-", "").replace(" ", "")


def pool_words(
    source: WordVectors,
    phrases: Mapping[str, str],
    params: WordParams,
    dataset: Dataset | None = None,
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the pooled vectors of phrases and a fingerprint of the input of each.

    Parameters
    ----------
    source
        The word vectors.
    phrases
        Class name -> the words that stand for it.
    params
        Whether to take the mean or the sum, and whether to scale word vectors to unit length first.
    dataset
        The dataset, whose name-edit tables the message about unknown words can recommend. ``None`` if the phrases are
        not class names.

    Returns
    -------
    tuple
        Vectors, (n, d), not normalised, and fingerprints, in the order of ``phrases``.

    Raises
    ------
    OutOfVocabularyError
        A word has no vector; the message lists the classes, their unknown words and the nearest known spellings.
    """
    words = {name: phrase.split() for name, phrase in phrases.items()}
    found = source.find(word for parts in words.values() for word in parts)
    made = made_words(source, {word for parts in words.values() for word in parts} - found.keys(), params)
    known = found.keys() | made.keys()
    unknown = {name: gone for name, parts in words.items() if (gone := [w for w in parts if w not in known])}
    if unknown:
        near = source.nearest(
            {*(phrases[name] for name in unknown), *(word for gone in unknown.values() for word in gone)}
        )
        lines = _unknown_lines(phrases, unknown, near)
        raise OutOfVocabularyError(
            f"{source.name} does not know {'; '.join(lines)}; use other words, or a source with more words."
            if dataset is None
            else _complaint(source, phrases, list(unknown), lines, dataset)
        )
    pooled, prints = [], []
    for parts in words.values():
        raw = np.stack([made[word] if word in made else source.vectors[found[word][1]] for word in parts])
        prints.append(fingerprint(raw, *(word if word in made else found[word][0] for word in parts)))
        # In float64: sums of float32 would depend on their order, and so on the machine.
        vectors = unit(raw.astype(np.float64)) if params.unit_words else raw.astype(np.float64)
        pooled.append(vectors.mean(axis=0) if params.pool == "mean" else vectors.sum(axis=0))
    return np.array(pooled), tuple(prints)


def made_words(source: WordVectors, words: Iterable[str], params: WordParams) -> dict[str, NDArray[np.float32]]:
    """Return the vectors of those unknown words that the source makes of parts, if the parameters allow it."""
    if not isinstance(params, SubwordParams) or not params.subwords:
        return {}
    made = {word: source.made_of_parts(word) for word in words}
    return {word: vector for word, vector in made.items() if vector is not None}


def _unknown_lines(
    phrases: Mapping[str, str], unknown: Mapping[str, list[str]], near: Mapping[str, list[str]]
) -> list[str]:
    """Return ``class: word (known: spellings), ...`` per class; a class that is one unknown word is named once."""
    lines = []
    for name, gone in unknown.items():
        known = [f"{word} (known: {', '.join(near[word])})" if near[word] else word for word in gone]
        entries = near[phrases[name]] if " " in phrases[name] else []
        whole = f"; the whole phrase is the entry {entries[0]}" if entries else ""
        lines.append(f"{'' if gone == [name] else f'{name}: '}{', '.join(known)}{whole}")
    return lines


def _complaint(
    source: WordVectors,
    phrases: Mapping[str, str],
    unknown: Sequence[str],
    lines: Iterable[str],
    dataset: Dataset,
) -> str:
    words = {
        table: {word for name in phrases for word in edits[name].split()} for table, edits in dataset.phrases.items()
    }
    found = source.find(word for each in words.values() for word in each)
    enough = [table for table, each in words.items() if each <= found.keys()]
    others = words_remedy(dataset, dict.fromkeys(unknown, BLANK)) or "use a source with more words"
    remedy = f"use {source.name}:edits={enough[0]}" if enough else others
    return (
        f"{source.name} does not know words of {len(unknown)} of {len(phrases)} class names; {remedy}, "
        f"or import finished class vectors (.npz):\n" + "\n".join(f"  {line}" for line in lines)
    )


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rows scaled to unit length; a zero row becomes NaN, which the guards refuse."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def fingerprint(values: NDArray[Any], *words: str) -> str:
    """Return a hash of stored values (and of the words that they stand for), the same on every machine."""
    # Little-endian on every machine, and with the type: equal bytes of two types are different values.
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    head = "\0".join([little.dtype.str, *words, ""]).encode()
    return hashlib.blake2b(head + little.tobytes(), digest_size=16).hexdigest()
