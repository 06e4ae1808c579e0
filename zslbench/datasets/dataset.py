"""Describe a dataset: its classes, their words, the expected numbers of videos, and its split families."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from zslbench.datasets.class_names import ClassNames
from zslbench.datasets.split_files import FamilyRecord, imported_names, read_imported
from zslbench.datasets.splits import RANDOM_FAMILIES, SplitFamily, random_family
from zslbench.digests import digest
from zslbench.errors import NotFoundError, ZslbenchError, suggest

_ALIASES = {"a2v-edits": "action2vec-v1"}


@dataclass(frozen=True)
class Dataset:
    """A class list and the data that belong to it, without videos.

    Attributes
    ----------
    classes
        Class names in the dataset's own order.
    phrases
        Name-edit table -> class name -> its words. Every dataset has the table ``plain``.
    name_edits
        Table of :attr:`spellings` -> class name -> its name there, where it is not the ``spaced`` one.
    videos_per_class
        Class -> expected number of videos, if known.
    other_names
        Name of a class in other files -> the classes that it can mean; more than one are refused as ambiguous.
    stored_families
        The published split families. Random ones are generated when they are needed, imported ones are read then.
    pinned_digests
        Split family -> its digest when it was released, which ``zslbench splits verify`` compares with.
    vectors
        Source name -> file of class vectors that is shipped with the dataset.
    texts_file
        File of class descriptions that is shipped with the dataset, if any.
    lists_file
        File of lists of training and test videos that is shipped with the dataset, if any.
    analogies
        Named lists of verb groups for the vector-arithmetic test: list -> verb -> noun -> class name. The first is the
        default; a noun is text whose vector is looked up.
    analogy_sources
        List -> its source.
    frames_per_video
        Median and log-standard deviation of a video's length in frames, for simulated features only.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> dataset = get_dataset("hmdb51")
    >>> dataset
    <Dataset hmdb51: 51 classes>
    >>> len(dataset.classes), dataset.resolve_class("Brush Hair"), dataset.phrase("brush_hair")
    (51, 'brush_hair', 'brush hair')
    >>> len(dataset.family("xu-50/50"))
    50
    """

    name: str
    display_name: str
    classes: tuple[str, ...]
    phrases: Mapping[str, Mapping[str, str]]
    source: str = ""
    citation: str = ""
    homepage: str = ""
    videos_per_class: Mapping[str, int] | None = None
    n_videos: int | None = None
    phrase_sources: Mapping[str, str] = field(default_factory=dict)
    name_edits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    other_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stored_families: Mapping[str, SplitFamily] = field(default_factory=dict)
    pinned_digests: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, Path] = field(default_factory=dict)
    texts_file: Path | None = None
    lists_file: Path | None = None
    analogies: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    analogy_sources: Mapping[str, str] = field(default_factory=dict)
    frames_per_video: tuple[float, float] = (165.0, 0.45)

    def __repr__(self) -> str:
        """Return one line, as notebooks show it; all names are 180,000 characters."""
        return f"<Dataset {self.name}: {len(self.classes)} classes>"

    @classmethod
    def read(cls, path: Path, **more: Any) -> Self:
        """Return the dataset that a JSON file of the built-in format describes; ``more`` are further attributes."""
        record = json.loads(path.read_text(encoding="utf-8"))
        name, classes = record["name"], tuple(record.pop("classes"))
        families = [FamilyRecord(dataset=name, **family) for family in record.pop("families")]
        pinned = path.with_name("split_digests.json")
        return cls(
            classes=classes,
            n_videos=record.pop("videos", None),
            stored_families={family.name: family.family(classes) for family in families},
            pinned_digests=json.loads(pinned.read_text(encoding="utf-8")).get(name, {}) if pinned.is_file() else {},
            **record,
            **more,
        )

    @cached_property
    def digest(self) -> str:
        """Digest of the class names, in order."""
        return digest(self.classes)

    @cached_property
    def label_of(self) -> dict[str, int]:
        """Class name -> its index in ``classes``."""
        return {name: i for i, name in enumerate(self.classes)}

    @property
    def family_names(self) -> list[str]:
        """Names of the published families, of the random ones, then of those imported on this machine.

        Random families whose unseen share of the classes is less than one class are left out.
        """
        drawn = [name for name, percent in RANDOM_FAMILIES.items() if len(self.classes) * percent >= 100]
        return [*self.stored_families, *drawn, *imported_names(self.name)]

    def family(self, name: str, classes: Sequence[str] | None = None) -> SplitFamily:
        """Return a split family.

        Parameters
        ----------
        name
            One of :attr:`family_names`.
        classes
            The classes that a random family divides, such as those of the feature set. Default: all.

        Raises
        ------
        NotFoundError
            The dataset has no such family.
        """
        if name in self.stored_families:
            return self.stored_families[name]
        if name in RANDOM_FAMILIES:
            return random_family(name, self.name, classes or self.classes)
        if name in imported_names(self.name):
            return read_imported(self.name, name, self.classes)
        raise NotFoundError(f"{self.name} has no split family {name!r}.{suggest(name, self.family_names)}")

    def phrase(self, class_name: str, edits: str = "plain") -> str:
        """Return the words of a class in a name-edit table.

        Raises
        ------
        NotFoundError
            The dataset has no such table.
        """
        if edits not in self.phrases:
            raise NotFoundError(f"{self.name} has no name-edit table {edits!r}.{suggest(edits, self.phrases)}")
        return self.phrases[edits][class_name]

    @cached_property
    def spellings(self) -> dict[str, dict[str, str]]:
        """Name table -> class -> its name as encoders of texts get it.

        ``official`` has the names as released, also ``ApplyEyeMakeup``; ``spaced`` splits them into words and keeps
        capitals. Then come those of :attr:`name_edits`, and the name-edit tables :attr:`phrases`, which are lower-case.
        """
        spaced = {name: spaced_name(name) for name in self.classes}
        edited = {table: spaced | dict(edits) for table, edits in self.name_edits.items()}
        own = {"official": {name: name for name in self.classes}, "spaced": spaced}
        return own | edited | {table: dict(words) for table, words in self.phrases.items()}

    def spelling(self, names: str) -> dict[str, str]:
        """Return class -> its name in a table of :attr:`spellings`; ``a2v-edits`` is another name of ``action2vec-v1``.

        Raises
        ------
        NotFoundError
            The dataset has no such table.
        """
        table = _ALIASES.get(names, names)
        if table not in self.spellings:
            raise NotFoundError(f"{self.name} has no table of names {names!r}.{suggest(names, self.spellings)}")
        return self.spellings[table]

    def resolve_class(self, name: str) -> str:
        """Return the canonical spelling of a class name, however it is spelt (see :class:`ClassNames`).

        Raises
        ------
        ZslbenchError
            No class has this name, or it can mean more than one.
        """
        if found := self.find_class(name):
            return found
        raise ZslbenchError(f"{name!r} is no class of {self.name}.{self.class_hint(name)}")

    def find_class(self, name: str) -> str | None:
        """Return the class as :meth:`resolve_class` does, or ``None`` if there is no single one."""
        if name in self.label_of:
            return name
        found = self._names.readings(name)
        return found[0] if len(found) == 1 else None

    def class_hint(self, name: str) -> str:
        """Return what a name that is no class may mean, to follow a sentence: its readings, or near names."""
        if readings := self._names.readings(name):
            return f" It can mean {' or '.join(readings)}; write one of these."
        return suggest(name, self.classes)

    @cached_property
    def _names(self) -> ClassNames:
        tables = [*self.name_edits.values(), self.phrases.get("plain", {})]
        words = [(text, [name]) for table in tables for name, text in table.items()]
        return ClassNames(self.classes, [*self.other_names.items(), *words])


def spaced_name(name: str) -> str:
    """Return a class name with CamelCase and underscores split into words; nothing else changes.

    >>> spaced_name("ApplyEyeMakeup"), spaced_name("brush_hair"), spaced_name("playing American football")
    ('Apply Eye Makeup', 'brush hair', 'playing American football')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ")
