"""What the classes of a dataset get as vectors of a shipped source, by which words, and which words may be meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

from zslbench.datasets.catalog import shipped_tables
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.semantics.class_vectors import missing_words, open_semantics
from zslbench.semantics.guards import EqualVectorsError
from zslbench.semantics.pooled import known_form, known_words, pooled_classes, shipped_phrases

SHIPPED_SOURCE = "minilm"  # the source that every dataset has
_LIKE = 0.75  # difflib's ratio from which a known word may be meant by a misspelt one
_SHORT = {"a", "at", "by", "in", "of", "off", "on", "out", "the", "to", "up"}  # also in words written together
_MOST_PARTS = 4
_SHORTEST = 4  # letters of a word that may be misspelt; shorter ones are like too many others


class ClassWords(NamedTuple):
    """How a class gets its vector.

    Attributes
    ----------
    name, phrase
        The class and its words.
    known
        The words that its vector is the mean of; empty if the source has the whole phrase, or no word of it.
    unknown
        The words without a vector, unless the source has the whole phrase.

    Examples
    --------
    >>> ClassWords("fold_zebu", "fold zebu", ("fold",), ("zebu",)).says
    'fold (not zebu)'
    """

    name: str
    phrase: str
    known: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        """The words: ``tennis serve`` for a whole phrase, ``two + hand`` for a mean; those without a vector."""
        if not self.known and not self.unknown:
            return self.phrase
        unknown = f" (not {', '.join(dict.fromkeys(self.unknown))})" if self.unknown else ""
        return (" + ".join(self.known) or "none") + unknown


def words_of_classes(dataset: Dataset, source: str = SHIPPED_SOURCE) -> list[ClassWords]:
    """Return how each class of a dataset gets its vector of a shipped source."""
    pooled, missing = pooled_classes(source, dataset), missing_words(source, dataset)
    found = []
    for name in dataset.classes:
        phrase = dataset.phrase(name)
        if name in pooled:
            found.append(ClassWords(name, phrase, pooled[name].words, pooled[name].unknown))
        else:
            found.append(ClassWords(name, phrase, unknown=tuple(phrase.split()) if name in missing else ()))
    return found


def vectors_problem(dataset: Dataset, source: str = SHIPPED_SOURCE) -> str:
    """Return the sentence with which a run of this dataset with the shipped class vectors would stop, or nothing."""
    try:
        open_semantics(source, dataset)
    except ZslbenchError as error:
        return str(error)
    return ""


def equal_classes(dataset: Dataset, source: str = SHIPPED_SOURCE) -> dict[str, str]:
    """Return class -> an earlier one with an equal vector."""
    missing = missing_words(source, dataset)
    try:
        if covered := [name for name in dataset.classes if name not in missing]:
            open_semantics(source, dataset, covered)
    except EqualVectorsError as error:
        return error.equal
    return {}


def suggested_words(classes: Sequence[ClassWords], source: str = SHIPPED_SOURCE) -> dict[str, str]:
    """Return class -> words that may be meant, for classes of which all words are known ones or look like these."""
    if not classes:
        return {}
    known = known_words(shipped_tables()[source]).keys()
    found = {}
    for each in classes:
        if all(word.isdigit() for word in each.phrase.split()):
            continue
        meant = [known_form(word, known) or _meant(word, known) for word in each.phrase.split()]
        if all(meant) and " ".join(meant) != each.phrase:
            found[each.name] = " ".join(meant)
    return found


def strange_classes(dataset: Dataset, classes: Sequence[ClassWords], source: str = SHIPPED_SOURCE) -> list[ClassWords]:
    """Return the classes whose phrases the encoder has read, but no word of them is a known one."""
    table = shipped_tables()[source]
    if dataset.vectors[source] == table:
        return []
    known, shipped = known_words(table).keys(), shipped_phrases(table)
    new = [each for each in classes if each.phrase not in shipped]
    words = {each.name: [word for word in each.phrase.split() if not word.isdigit()] for each in new}
    return [each for each in new if not any(known_form(word, known) for word in words[each.name])]


def _meant(word: str, known: Collection[str]) -> str:
    """Return the known words that make up ``word``, or else the one that is most like it, or nothing."""
    if parts := _parts(word, known):
        return " ".join(parts)
    if len(word) < _SHORTEST:
        return ""
    alike = [each for each in known if each[:1] == word[:1] and abs(len(each) - len(word)) <= 2]
    swapped = [each for each in alike if sorted(each) == sorted(word)]  # wlaking is walking, not waking
    return next(iter([*swapped, *difflib.get_close_matches(word, alike, n=1, cutoff=_LIKE)]), "")


def _parts(word: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the fewest known words that make up a word, the longest first among equally many; none if there are none.

    >>> _parts("walkingthedog", {"walking", "walk", "king", "the", "dog"})
    ('walking', 'the', 'dog')
    """
    best: dict[int, tuple[str, ...]] = {0: ()}  # end -> words up to it
    for end in range(1, len(word) + 1):
        for start in [start for start in sorted(best) if start < end]:
            part = word[start:end]
            longer = (*best[start], part)
            usable = part in known and (len(part) > 2 or part in _SHORT)  # two letters of any name are some "word"
            if usable and len(longer) <= _MOST_PARTS and (end not in best or len(longer) < len(best[end])):
                best[end] = longer
    found = best.get(len(word), ())
    return found if len(found) > 1 and not any(a in _SHORT and b in _SHORT for a, b in pairwise(found)) else ()
