"""Wu-Palmer similarity of many synsets at once, equal to NLTK's ``wup_similarity`` for each pair.

Wu, Palmer. Verb semantics and lexical selection. ACL 1994: with c the lowest common subsumer of a and b,
``2 depth(c) / (dist(a, c) + dist(b, c) + 2 depth(c))``. Published figures use NLTK's version of it:

* c is the common ancestor whose *shortest* path to a root is longest. Of several such ancestors, it is a itself if a is
  among them, or else the first by name. So the value can depend on the order of a and b.
* depth(c) counts the nodes of c's *longest* path to a root.
* Nouns have one root. Every other part of speech has many, and gets a simulated root above them, one step beyond a
  synset's farthest ancestor.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.stats.intervals import Float64Array

IntArray = NDArray[np.integer[Any]]

_ROOT = "*ROOT*"  # NLTK's name of the simulated root; it sorts before every synset's name
_ABSENT = -1
_POS = ("n", "v", "as", "r")  # adjectives and their satellites are one part of speech


def sense_similarities(senses: Sequence[Sequence[Any]], *, across: bool = False) -> Float64Array:
    """Return, for every ordered pair of names, the largest Wu-Palmer similarity over the pairs of their synsets.

    Parameters
    ----------
    senses
        The synsets of each of n names, of any parts of speech.
    across
        Whether to compare synsets of different parts of speech, too, as NLTK does. They share only the simulated root.

    Returns
    -------
    numpy.ndarray
        (n, n) float64; NaN for two names without comparable synsets.
    """
    # Names with the same synsets are computed once: datasets repeat verbs, as in "play piano" and "play violin".
    distinct = {tuple(synset.name() for synset in own): list(own) for own in senses}
    place = {key: i for i, key in enumerate(distinct)}
    best = np.full((len(distinct), len(distinct)), np.nan)
    to_root = np.full((len(_POS), len(distinct)), np.inf)
    for k, pos in enumerate(_POS):
        of_pos = [[synset for synset in own if synset.pos() in pos] for own in distinct.values()]
        here = np.array([i for i, own in enumerate(of_pos) if own], dtype=np.intp)
        if not len(here):
            continue
        synsets = {synset.name(): synset for own in of_pos for synset in own}
        row = {name: i for i, name in enumerate(synsets)}
        rows = [row[synset.name()] for own in of_pos for synset in own]
        starts = np.cumsum([0, *(len(of_pos[i]) for i in here[:-1])])
        found = np.fmax.reduceat(synset_similarities(list(synsets.values()))[rows], starts, axis=0)
        best[np.ix_(here, here)] = np.fmax(best[np.ix_(here, here)], np.fmax.reduceat(found[:, rows], starts, axis=1))
        taxonomy = _Taxonomy(rooted=True)
        far = [taxonomy.distances(synset)[_ROOT] for synset in synsets.values()]
        to_root[k, here] = np.minimum.reduceat(np.array(far)[rows], starts)
    if across:
        # The common subsumer is the root, of depth 1: 2 / (dist + dist + 2). Its inverse distance is 0 for absent ones.
        for one, other in permutations(to_root, 2):
            shared = 2 / (one[:, None] + other + 2)
            best = np.fmax(best, np.where(shared > 0, shared, np.nan))
    of_name = [place[tuple(synset.name() for synset in own)] for own in senses]
    return best[np.ix_(of_name, of_name)]


def synset_similarities(synsets: Sequence[Any]) -> Float64Array:
    """Return the Wu-Palmer similarity of every ordered pair of synsets.

    Parameters
    ----------
    synsets
        (n,) NLTK synsets, all of one part of speech.

    Returns
    -------
    numpy.ndarray
        (n, n) float64, ``[i, j]`` is ``synsets[i].wup_similarity(synsets[j])``; NaN if that is ``None``.
    """
    taxonomy = _Taxonomy(rooted=bool(synsets) and synsets[0].pos() != "n")
    above = [taxonomy.distances(synset) for synset in synsets]
    ancestors = taxonomy.ranked({name for found in above for name in found})
    place = {name: k for k, name in enumerate(ancestors)}
    distance = np.full((len(synsets), len(ancestors)), _ABSENT, dtype=np.int16)
    for i, found in enumerate(above):
        distance[i, [place[name] for name in found]] = list(found.values())
    depth = np.array([taxonomy.max_depth(name) + 1 for name in ancestors], dtype=np.int16)
    shallow = np.array([taxonomy.min_depth(name) for name in ancestors], dtype=np.int16)
    subsumer = _lowest_common(distance, shallow, [place[synset.name()] for synset in synsets])
    if not len(ancestors):
        return np.zeros((0, 0))
    first = np.take_along_axis(distance, subsumer, axis=1)
    second = np.take_along_axis(distance, subsumer.T, axis=1).T
    doubled = 2 * depth[subsumer]
    found_any: Float64Array = np.where(subsumer == _ABSENT, np.nan, doubled / (first + second + doubled))
    return found_any


def _lowest_common(distance: IntArray, shallow: IntArray, own: Sequence[int]) -> IntArray:
    """Return the index of each ordered pair's subsumer among the ancestors, which are ranked, the best last."""
    under = distance != _ABSENT
    subsumer = np.full((len(own), len(own)), _ABSENT, dtype=np.int32)
    for k in range(distance.shape[1]):  # later ancestors rank higher, so the last one written is the subsumer
        below = np.flatnonzero(under[:, k])
        subsumer[np.ix_(below, below)] = k
    for i, k in enumerate(own):  # of equally deep ancestors, NLTK prefers the first synset itself
        row = subsumer[i]
        row[under[:, k] & (shallow[row] == shallow[k])] = k
    return subsumer


class _Taxonomy:
    """Ancestors of synsets by name, measured as NLTK's ``Synset`` does; each synset is read once."""

    def __init__(self, *, rooted: bool) -> None:
        self._rooted = rooted
        self._synsets: dict[str, Any] = {}
        self._steps: dict[str, dict[str, int]] = {_ROOT: {_ROOT: 0}}

    def distances(self, synset: Any) -> dict[str, int]:
        """Return the length of the shortest path to each ancestor and to itself, as ``shortest_path_distance`` does.

        That path may lead through a third synset that is an ancestor of both.
        """
        steps = self._up(synset)
        found = {}
        for name in steps:
            further = self._up(self._synsets[name]) if name != _ROOT else self._steps[_ROOT]
            found[name] = min(steps[shared] + more for shared, more in further.items() if shared in steps)
        return found | {synset.name(): 0}

    def _up(self, synset: Any) -> dict[str, int]:
        """Return the fewest steps up to each ancestor and to itself, in the order in which they are found."""
        if (known := self._steps.get(synset.name())) is not None:
            return known
        steps: dict[str, int] = {}
        level, n = [synset], 0
        while level:
            new = {node.name(): node for node in level if node.name() not in steps}
            steps |= dict.fromkeys(new, n)
            self._synsets |= new
            level = [up for node in new.values() for up in (*node.hypernyms(), *node.instance_hypernyms())]
            n += 1
        if self._rooted:
            steps[_ROOT] = max(steps.values()) + 1
        self._steps[synset.name()] = steps
        return steps

    def min_depth(self, name: str) -> int:
        return 0 if name == _ROOT else int(self._synsets[name].min_depth())

    def max_depth(self, name: str) -> int:
        return 0 if name == _ROOT else int(self._synsets[name].max_depth())

    def ranked(self, names: set[str]) -> list[str]:
        """Return ancestors sorted so that the last common one is the lowest subsumer, the first by name of equals."""
        return sorted(sorted(names, reverse=True), key=self.min_depth)
