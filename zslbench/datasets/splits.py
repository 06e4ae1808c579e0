"""Class splits, their digests, and families of splits.

A split is stored by class *name*, never by index. Xu's release counts UCF101's classes in a case-insensitive order;
applying its indices to Python's ``sorted()`` would change the unseen classes of 42 of the 50 splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from zslbench.datasets.video_ids import VideoList
from zslbench.digests import derive_seed, digest
from zslbench.errors import CoverageError, NotFoundError, ZslbenchError, some, suggest

RANDOM_FAMILIES = {"random-50/50": 50, "random-80/20": 20, "random-90/10": 10}
ALL_VIDEOS = "all"  # instead of a list: every video is tested, none trains
OWN_VIDEOS = "own"  # instead of a list's name: the family has the list itself
RANDOM_SIZE = 50  # splits in a random family: as many as the canonical families have


@dataclass(frozen=True)
class VideoChoice:
    """Which videos of a split's classes train, and which are tested.

    Attributes
    ----------
    list
        Name of a list of videos (:mod:`zslbench.datasets.video_lists`), :data:`ALL_VIDEOS` or :data:`OWN_VIDEOS`.
    shots
        Videos per class that are drawn from its training videos; 0 for all.
    draw
        Number of the draw.
    digest
        Digest of the list; empty where the feature set's own column is the list.
    own
        The list, if the family has it.

    Examples
    --------
    >>> VideoChoice("official-1", shots=16, draw=2).text
    'official-1, draw 2 of 16 training videos per class'
    """

    list: str
    shots: int = 0
    draw: int = 0
    digest: str = ""
    own: VideoList | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, own: VideoList) -> VideoChoice:
        """Return the choice of a list that a family has itself."""
        return cls(OWN_VIDEOS, digest=own.digest, own=own)

    @property
    def text(self) -> str:
        """The choice in a few words."""
        if self.own:
            return f"its own list, {len(self.own.train):,} training and {len(self.own.test):,} test videos"
        drawn = f", draw {self.draw} of {self.shots} training videos per class" if self.shots else ""
        return f"{self.list}{drawn}"


@dataclass(frozen=True)
class Split:
    """A partition of classes, and of their videos where the protocol has lists of these.

    Attributes
    ----------
    seen, unseen
        Sorted class names; no name is in both. One side may be empty: no class is seen where nothing is trained, none
        unseen where the trained classes are tested.
    validation
        Classes that the family's authors reserved for validation; zslbench neither trains nor tests on them.
    seen_dataset
        The dataset of the seen classes, if it is not that of the unseen classes.
    videos
        The videos that train and are tested; ``None`` for all videos of the seen and of the unseen classes.

    Examples
    --------
    >>> split = Split(seen=("jump", "run"), unseen=("wave",))
    >>> split.digest == Split(seen=("run", "jump"), unseen=("wave",)).digest
    True
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    validation: tuple[str, ...] = ()
    seen_dataset: str | None = None
    videos: VideoChoice | None = None

    def __post_init__(self) -> None:
        for name in ("seen", "unseen", "validation"):
            names = tuple(sorted(getattr(self, name)))  # so that the digest does not depend on the order
            if len(set(names)) != len(names):
                raise ZslbenchError(f"a split names a class twice among its {name} classes; remove one.")
            object.__setattr__(self, name, names)  # the class is frozen
        # Seen classes of another dataset may have the names of unseen ones, so they are not compared.
        both = set(self.validation) & set(self.unseen)
        if self.seen_dataset is None:
            both |= set(self.seen) & (set(self.unseen) | set(self.validation))
        if both:
            raise ZslbenchError(f"a split uses the classes {sorted(both)} twice; its parts must be disjoint.")
        if not self.seen + self.unseen or (self.videos is None and not (self.seen and self.unseen)):
            raise ZslbenchError("a split needs at least one seen and one unseen class; add classes.")

    @cached_property
    def digest(self) -> str:
        """Digest of the names; the same for the same partition in any family."""
        # Empty ones are left out, so that splits without them keep their digests.
        extras: dict[str, Any] = {"validation": self.validation, "seen_dataset": self.seen_dataset}
        if self.videos:
            extras["videos"] = {name: getattr(self.videos, name) for name in ("list", "shots", "draw", "digest")}
        return digest({"seen": self.seen, "unseen": self.unseen} | {k: v for k, v in extras.items() if v})


@dataclass(frozen=True)
class SplitFamily:
    """A named, ordered set of splits of one dataset.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> family = get_dataset("ucf101").family("xu-50/50")
    >>> len(family), family.n_distinct
    (50, 47)
    """

    name: str
    dataset: str
    splits: tuple[Split, ...]
    source: str
    note: str = ""

    def __len__(self) -> int:
        return len(self.splits)

    @cached_property
    def digest(self) -> str:
        """Digest of the splits' digests, in order."""
        return digest([split.digest for split in self.splits])

    @property
    def n_distinct(self) -> int:
        """Number of different partitions; UCF101's ``xu-50/50`` has 47 among its 50."""
        return len({split.digest for split in self.splits})

    @property
    def first_trial(self) -> int:
        """How many splits a first trial runs: two, or all lists of a family of lists."""
        return 3 if self.splits[0].videos and not self.has_own_lists else 2

    @property
    def has_own_lists(self) -> bool:
        """Whether the family says itself which videos train and which are tested."""
        return any(split.videos and split.videos.own for split in self.splits)

    @property
    def one_unseen(self) -> tuple[int, ...]:
        """Indices of the splits with one unseen class, which in zsl every method recognises."""
        return tuple(i for i, split in enumerate(self.splits) if len(split.unseen) == 1)

    @property
    def warning(self) -> str:
        """What to know before the family is used: that ``zslbench run`` refuses splits of it; empty if there are none.

        Examples
        --------
        >>> print(random_family("random-90/10", "mine", [f"class {i}" for i in range(12)]).warning)
        random-90/10 has one unseen class in 50 of 50 splits; in zsl every method recognises it, so ...
        """
        if not self.one_unseen:
            return ""
        return (
            f"{self.name} has one unseen class in {len(self.one_unseen)} of {len(self)} splits; in zsl every "
            "method recognises it, so 'zslbench run' refuses them."
        )

    def check_unseen(self, indices: Sequence[int]) -> None:
        """Refuse splits with one unseen class, whose accuracy would be 100 % for every method.

        Raises
        ------
        ZslbenchError
            One of the splits has one; the message names the remedy.
        """
        alone = [str(i) for i in sorted(set(indices) & set(self.one_unseen))]
        if alone:
            splits = f"split {alone[0]} has" if len(alone) == 1 else f"splits {some(alone)} have"
            other = "" if len(self.one_unseen) == len(self) else ", or other --splits"
            raise ZslbenchError(
                f"{self.dataset} {self.name}: {splits} one unseen class, which in zsl every method recognises; choose "
                f"a --family with more unseen classes ('zslbench splits {self.dataset}'){other}."
            )

    def check_coverage(self, covered: Sequence[str], features: str) -> None:
        """Refuse a family that needs classes which the feature set does not have.

        Raises
        ------
        CoverageError
            Classes are missing; the message names the first ones, and a family that does not need them.
        """
        have = set(covered)
        needed = {
            name for split in self.splits for name in (*split.unseen, *(() if split.seen_dataset else split.seen))
        }
        missing = sorted(needed - have)
        if missing:
            raise CoverageError(
                f"{features} has {len(have)} classes, but {self.name} needs {len(missing)} more ({some(missing, 4)}); "
                f"use --family random-50/50, which divides the classes that the features have."
            )


def random_family(name: str, dataset: str, classes: Sequence[str]) -> SplitFamily:
    """Return a seeded random family over ``classes``.

    ``random-80/20`` over C classes has ``floor(0.2 C)`` unseen ones. Split *i* depends only on the family's name, the
    class names and *i*. So it is the same on every machine, and for every feature set with these classes.

    Raises
    ------
    NotFoundError
        ``name`` is not a random family.
    ZslbenchError
        There are too few classes for one unseen and one seen class.
    """
    if name not in RANDOM_FAMILIES:
        raise NotFoundError(f"no random split family is called {name!r}.{suggest(name, RANDOM_FAMILIES)}")
    names = sorted(classes)
    n_unseen = len(names) * RANDOM_FAMILIES[name] // 100
    if n_unseen < 1 or len(names) - n_unseen < 1:
        raise ZslbenchError(f"{name} needs more than {len(names)} classes; import features of more classes.")
    splits = []
    for index in range(RANDOM_SIZE):
        # One generator per split, so that a split does not depend on the number of splits drawn before it.
        rng = np.random.default_rng(derive_seed("split", name, digest(names), index))
        unseen = {names[i] for i in rng.permutation(len(names))[:n_unseen]}
        splits.append(Split(tuple(n for n in names if n not in unseen), tuple(sorted(unseen))))
    return SplitFamily(name, dataset, tuple(splits), "generated by zslbench from hashed seeds")


def parse_splits(text: str, size: int) -> list[int]:
    """Return the split indices that ``text`` names: ``5`` (the first five), ``0:10``, ``3,7`` or ``all``.

    Raises
    ------
    ZslbenchError
        The text has another form, or names more splits than the family has.
    """
    text = text.strip()
    start, _, stop = text.rpartition(":")
    indices: Sequence[int]
    try:
        if text == "all":
            indices = range(size)
        elif "," in text:
            indices = [int(part) for part in text.split(",") if part.strip()]
        else:
            indices = range(int(stop or size) if ":" in text else int(text))[int(start or 0) :]
    except ValueError:
        raise ZslbenchError(f"--splits {text!r} is not understood; write 5, 0:10, 3,7 or all.") from None
    if not indices or not all(0 <= index < size for index in indices):
        raise ZslbenchError(
            f"--splits {text} names splits outside this family's 0 to {size - 1}; choose some of these."
        )
    return list(indices)
