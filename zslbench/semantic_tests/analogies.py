"""Verb groups of the vector-arithmetic test: the classes that are one verb with several nouns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import permutations

from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError, suggest

AUTO = "auto"
_ARTICLES = {"a", "an", "the"}
_CONJUNCTIONS = {"and", "or"}
_PREPOSITIONS = {"at", "by", "for", "from", "in", "into", "of", "off", "on", "out", "to", "with"}

Groups = Mapping[str, Mapping[str, str]]  # verb -> noun -> class name


@dataclass(frozen=True)
class Pair:
    """One analogy: class ``source`` ("verb noun1") - ``minus`` + ``plus`` should be class ``target`` ("verb noun2").

    Examples
    --------
    >>> groups = {"play": {"piano": "Playing Piano", "violin": "Playing Violin"}}
    >>> pairs(groups)[0]
    Pair(verb='play', minus='piano', plus='violin', source='Playing Piano', target='Playing Violin')
    """

    verb: str
    minus: str
    plus: str
    source: str
    target: str


def choose_groups(dataset: Dataset, name: str | None = None, edits: str = "plain") -> tuple[str, Groups]:
    """Return the name of a list of verb groups and the list.

    Parameters
    ----------
    name
        A list of :attr:`Dataset.analogies`, or ``auto`` for :func:`automatic_groups`; by default the dataset's first
        list, or else ``auto``.

    Raises
    ------
    NotFoundError
        The dataset has no such list.
    """
    name = name or next(iter(dataset.analogies), AUTO)
    if name == AUTO:
        return AUTO, automatic_groups(dataset, edits)
    if name not in dataset.analogies:
        raise NotFoundError(f"{dataset.name} has no verb groups {name!r}.{suggest(name, [*dataset.analogies, AUTO])}")
    return name, dataset.analogies[name]


def automatic_groups(dataset: Dataset, edits: str = "plain") -> Groups:
    """Return the groups of classes whose names share their first word, which counts as the verb.

    Names are worded as in a name-edit table. Nothing is lemmatised, and it is not checked that the first word is a
    verb. The other words are the noun. Articles, prepositions, 'and' and 'or' are removed from it, unless it would then
    be empty or equal to another noun of the group. A verb with only one noun forms no group.
    """
    rests: dict[str, dict[str, str]] = {}
    for name in dataset.classes:
        verb, _, rest = dataset.phrase(name, edits).partition(" ")
        if rest:
            rests.setdefault(verb, {})[name] = rest
    return {verb: _nouns(named) for verb, named in rests.items() if len(named) > 1}


def _nouns(rests: Mapping[str, str]) -> dict[str, str]:
    """Return noun -> class name for the classes of one verb, given class name -> words after the verb."""
    short = {name: without_function_words(rest) for name, rest in rests.items()}
    times = Counter(short.values())
    return {
        short[name] if short[name] and times[short[name]] == 1 else rest: name for name, rest in rests.items()
    }  # fmt: skip


def without_function_words(phrase: str) -> str:
    """Return a phrase without its articles, prepositions, 'and' and 'or'.

    Examples
    --------
    >>> without_function_words("or walking with horse")
    'walking horse'
    """
    dropped = _ARTICLES | _CONJUNCTIONS | _PREPOSITIONS
    return " ".join(word for word in phrase.split() if word not in dropped)


def covered_groups(groups: Groups, names: Collection[str]) -> Groups:
    """Return the groups among the classes ``names``; leave out verbs that have fewer than two nouns there.

    Raises
    ------
    ZslbenchError
        No group is left.
    """
    known = set(names)
    kept = {verb: {noun: c for noun, c in nouns.items() if c in known} for verb, nouns in groups.items()}
    kept = {verb: nouns for verb, nouns in kept.items() if len(nouns) > 1}
    if not kept:
        raise ZslbenchError(
            f"no verb has two nouns among these {len(known)} classes, so there is nothing to subtract and add (the "
            "paper leaves HMDB51 out for that reason); use another list with --groups, features that cover more "
            "classes, or another dataset, such as ucf101."
        )
    return kept


def pairs(groups: Groups) -> list[Pair]:
    """Return every ordered pair of two nouns of one verb: n (n - 1) pairs for a verb with n nouns."""
    return [
        Pair(verb, minus, plus, source, target)
        for verb, nouns in groups.items()
        for (minus, source), (plus, target) in permutations(nouns.items(), 2)
    ]


def nouns_of(groups: Groups) -> list[str]:
    """Return every noun once, in the order of the groups."""
    return list(dict.fromkeys(noun for nouns in groups.values() for noun in nouns))
