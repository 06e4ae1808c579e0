"""The word-matrix test: whether classes that WordNet calls similar are also close among class embeddings.

Hahn, Silva, Rehg. Action2Vec. arXiv:1901.00484, section 4.2.1: for the class names in WordNet, two matrices are
compared, that of Wu-Palmer similarities and that of cosines between class embeddings. The measure is Spearman's
correlation per row, averaged over rows. Where the paper does not say how to do something, there is a rule here. Each
rule changes the figure: see docs/semantic-tests.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from zslbench.datasets.dataset import Dataset
from zslbench.embeddings.class_embeddings import ClassEmbeddings
from zslbench.errors import CoverageError, ZslbenchError
from zslbench.semantic_tests._mantel import LEAST_PAIRS, RowCorrelation, correlate_rows
from zslbench.semantic_tests._wupalmer import sense_similarities
from zslbench.stats.intervals import Float64Array

LEAST_NAMES = 3
LookUp = Literal["phrase", "single-word", "first-word"]
Pos = Literal["any", "noun", "verb"]
Synsets = Literal["max", "first"]
Undefined = Literal["skip", "zero", "root"]
_LETTER = {"any": None, "noun": "n", "verb": "v"}


class WordNetRules(BaseModel):
    """The choices that the paper leaves open.

    The defaults are the careful choices; figures as high as the paper's need ``diagonal=True``.

    Attributes
    ----------
    look_up
        ``phrase``: the whole name, words joined (``balance_beam`` is an entry of WordNet). ``single-word``: only names
        of one word. ``first-word``: the first word of each name.
    pos
        Part of speech. ``any`` compares only synsets of the same part of speech.
    synsets
        ``max``: the most similar pair of two names' synsets. ``first``: each name's first synset, its most frequent
        sense.
    undefined
        Pairs without a common part of speech. ``skip`` leaves them out of the ranks, ``zero`` sets them to 0. ``root``
        compares synsets of different parts of speech, too, through the simulated root that NLTK puts above all.
    diagonal
        Whether a class's similarity with itself counts. It is the largest value of every row in both matrices, so it
        raises the correlation of any embedding.
    edits
        The dataset's name-edit table.

    Examples
    --------
    >>> WordNetRules(look_up="first-word", pos="verb").describe()
    'first words, verbs, most similar synsets, undefined pairs skipped, diagonal excluded, edits plain'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    look_up: LookUp = "phrase"
    pos: Pos = "any"
    synsets: Synsets = "max"
    undefined: Undefined = "skip"
    diagonal: bool = False
    edits: str = "plain"

    def describe(self, *, diagonal: bool = True) -> str:
        """Return the rules in one line, with or without that of the diagonal."""
        parts = (
            {"phrase": "whole names", "single-word": "single-word names", "first-word": "first words"}[self.look_up],
            "any part of speech" if self.pos == "any" else f"{self.pos}s",
            "most similar synsets" if self.synsets == "max" else "first synsets",
            {"skip": "undefined pairs skipped", "zero": "undefined pairs 0", "root": "parts of speech under one root"}[
                self.undefined
            ],
            *([f"diagonal {'included' if self.diagonal else 'excluded'}"] if diagonal else []),
            f"edits {self.edits}",
        )
        return ", ".join(parts)


@dataclass(frozen=True)
class WordNetMatrix:
    """Wu-Palmer similarities of a dataset's classes.

    Attributes
    ----------
    dataset
        Name of the dataset.
    names
        The n classes in WordNet, in the dataset's order.
    terms
        The term that was looked up for each of them.
    matrix
        (n, n) float64 with the diagonal; NaN for undefined pairs. Not quite symmetric: see
        :mod:`zslbench.semantic_tests._wupalmer`.
    left_out
        The classes that are not in WordNet.
    rules
        The rules for looking up names and for undefined pairs.

    Examples
    --------
    >>> names = ("run", "walk", "chew")
    >>> similarities = np.array([[1.0, 0.9, 0.3], [0.9, 1.0, 0.3], [0.3, 0.3, 1.0]])
    >>> WordNetMatrix("hmdb51", names, names, similarities, ("smile",), WordNetRules()).coverage()
    '3 of 4 names are in WordNet'
    """

    dataset: str
    names: tuple[str, ...]
    terms: tuple[str, ...]
    matrix: Float64Array
    left_out: tuple[str, ...]
    rules: WordNetRules

    def coverage(self) -> str:
        """Return how many names are covered, in one line."""
        return f"{len(self.names)} of {len(self.names) + len(self.left_out)} names are in WordNet"


@dataclass(frozen=True)
class WordNetComparison:
    """One set of class embeddings compared with WordNet.

    Attributes
    ----------
    title
        Origin of the embeddings.
    cosines
        (n, n) float64, cosine similarities of the embeddings of the matrix's classes.
    correlation
        The row-averaged Spearman correlation and its p-value.

    Examples
    --------
    >>> names = ("run", "walk", "chew", "eat")
    >>> near = np.kron(np.eye(2), np.full((2, 2), 0.6)) + 0.3 + 0.1 * np.eye(4)
    >>> wordnet = WordNetMatrix("hmdb51", names, names, near, (), WordNetRules())
    >>> own = ClassEmbeddings("mine", names, np.array([[2.0, 0.0], [2.0, 0.5], [0.0, 2.0], [0.5, 2.0]]), np.zeros(4))
    >>> round(compare_with_wordnet(wordnet, own, permutations=0).correlation.rho, 2)
    0.87
    """

    title: str
    cosines: Float64Array
    correlation: RowCorrelation


def wordnet_matrix(
    dataset: Dataset, rules: WordNetRules | None = None, *, names: Sequence[str] | None = None, wordnet: Any = None
) -> WordNetMatrix:
    """Return the Wu-Palmer similarities of the classes whose names are in WordNet.

    Parameters
    ----------
    names
        The classes to look up; all by default.
    wordnet
        NLTK's reader; :func:`zslbench.semantic_tests.wordnet_data.open_wordnet` by default.

    Raises
    ------
    NotFoundError
        WordNet's data are missing, or the dataset has no such name-edit table.
    ZslbenchError
        Fewer than three names are in WordNet.
    """
    from zslbench.semantic_tests.wordnet_data import open_wordnet

    rules = rules or WordNetRules()
    reader = wordnet or open_wordnet()
    asked = dataset.classes if names is None else tuple(dataset.resolve_class(name) for name in names)
    terms = {name: _term(dataset.phrase(name, rules.edits), rules.look_up) for name in asked}
    senses = {name: _senses(reader, term, rules) for name, term in terms.items() if term}
    found = tuple(name for name in asked if senses.get(name))
    left_out = tuple(name for name in asked if not senses.get(name))
    if len(found) < LEAST_NAMES:
        raise ZslbenchError(
            f"{len(found) or 'none'} of the {len(asked)} class names of {dataset.name} that are looked up "
            f"{'is' if len(found) == 1 else 'are'} in WordNet ({rules.describe()}), but ranks need "
            f"{LEAST_NAMES}; look names up by their first word, by any part of speech or with other edits."
        )
    matrix = sense_similarities([senses[name] for name in found], across=rules.undefined == "root")
    if rules.undefined == "zero":
        matrix = np.nan_to_num(matrix, nan=0.0)
    return WordNetMatrix(dataset.name, found, tuple(terms[name] for name in found), matrix, left_out, rules)


def _term(phrase: str, look_up: LookUp) -> str:
    """Return the term that is looked up for a name; empty if the rule skips the name."""
    words = phrase.split()
    if look_up == "first-word":
        return words[0] if words else ""
    return "" if look_up == "single-word" and len(words) > 1 else "_".join(words)  # WordNet's form: balance_beam


def _senses(reader: Any, term: str, rules: WordNetRules) -> list[Any]:
    """Return the synsets of a term; WordNet's morphology finds ``walk`` for ``walking``."""
    found = reader.synsets(term, _LETTER[rules.pos])
    return list(found[:1] if rules.synsets == "first" else found)


def compare_with_wordnet(
    wordnet: WordNetMatrix, embeddings: ClassEmbeddings, *, permutations: int = 999, seed: int = 0
) -> WordNetComparison:
    """Compare class embeddings with WordNet.

    Parameters
    ----------
    wordnet
        The similarities; their rule for the diagonal applies.
    embeddings
        Embeddings of all classes of the matrix, in any order; further classes are ignored.
    permutations, seed
        Number and seed of the permutations of Mantel's test.

    Raises
    ------
    CoverageError
        A class of the matrix has no embedding.
    ZslbenchError
        An embedding is zero or not finite, or no row has three defined pairs with different values.
    """
    cosines = cosine_matrix(embeddings, wordnet.names)
    found = correlate_rows(
        wordnet.matrix, cosines, diagonal=wordnet.rules.diagonal, permutations=permutations, seed=seed
    )
    if not found.n_rows:
        raise ZslbenchError(
            f"no class of {wordnet.dataset} has {LEAST_PAIRS} or more defined pairs with different values "
            f"({wordnet.rules.describe()}); count undefined pairs as 0, or look up more names."
        )
    return WordNetComparison(embeddings.title, cosines, found)


def cosine_matrix(embeddings: ClassEmbeddings, names: Sequence[str]) -> Float64Array:
    """Return the cosine similarities of the embeddings of ``names``, (n, n) float64.

    Raises
    ------
    CoverageError
        A class has no embedding.
    ZslbenchError
        An embedding is zero or not finite.
    """
    place = {name: i for i, name in enumerate(embeddings.names)}
    if absent := [name for name in names if name not in place]:
        raise CoverageError(f"{embeddings.title} has no embedding of {', '.join(absent[:4])}; leave these classes out.")
    vectors = embeddings.vectors[[place[name] for name in names]].astype(np.float64)
    length = np.linalg.norm(vectors, axis=1)
    if bad := [name for name, norm in zip(names, length, strict=True) if not 0 < norm < np.inf]:
        raise ZslbenchError(
            f"the embedding of {', '.join(bad[:4])} in {embeddings.title} is zero or not finite, so it has no cosine; "
            "leave the class out or make the embedding again."
        )
    unit = vectors / length[:, None]
    cosines: Float64Array = unit @ unit.T
    return cosines
