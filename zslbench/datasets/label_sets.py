"""Label sets: the classes of the training data of feature extractors, by name.

A package adds label sets through the entry-point group ``zslbench.label_sets``: a function without arguments that
returns :class:`LabelSet` objects. The ``trained_on`` of a feature set names them, or says ``nothing`` or ``unknown``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import dataset_name, dataset_names, get_dataset
from zslbench.datasets.class_names import name_key
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.registry import Registry

LABEL_SETS = Registry("zslbench.label_sets", "collection of label sets")
NOTHING = frozenset({"nothing", "none", "random", "scratch"})  # trained_on of an extractor that was not trained
UNKNOWN = "unknown"  # trained_on of an extractor whose training data nobody can list

Kind = Literal["actions", "objects", "captions"]


@dataclass(frozen=True)
class LabelSet:
    """The labels that an extractor was trained with.

    Attributes
    ----------
    name, aliases
        The names in ``trained_on``; case and punctuation do not matter.
    kind
        ``actions``; ``objects`` (image labels: the object of an action is not an action); or ``captions``. Captions are
        free text from the web: there are no labels, so no action can be excluded.
    labels
        The labels, spelt as in their source.
    phrases
        The words of each label, with synonyms; vectors are those of the first.
    vectors
        Source of class vectors -> file with the arrays ``phrases`` and ``vectors``, as in shipped tables.
    dataset
        The dataset that has these classes, if any.

    Examples
    --------
    >>> found = get_label_set("Kinetics-400")
    >>> found.kind, len(found.labels), found.phrases[0]
    ('actions', 400, ('abseiling',))
    """

    name: str
    display_name: str
    kind: Kind
    labels: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]
    aliases: tuple[str, ...] = ()
    source: str = ""
    vectors: Mapping[str, Path] = field(default_factory=dict)
    dataset: str | None = None

    @classmethod
    def of(cls, dataset: Dataset, *aliases: str) -> LabelSet:
        """Return the classes of a dataset as a label set."""
        return cls(
            name=dataset.name,
            display_name=dataset.display_name,
            kind="actions",
            labels=dataset.classes,
            phrases=tuple((dataset.phrase(name),) for name in dataset.classes),
            aliases=aliases,
            source=dataset.source,
            vectors=dataset.vectors,
            dataset=dataset.name,
        )

    def vectors_of(self, source: str) -> NDArray[np.float32] | None:
        """Return one unit vector per label, (n, d), or ``None`` if the set has none of that source.

        Raises
        ------
        ZslbenchError
            The file lacks a label.
        """
        if source not in self.vectors:
            return None
        with np.load(self.vectors[source], allow_pickle=False) as arrays:
            place = {phrase: i for i, phrase in enumerate(arrays["phrases"].tolist())}
            table = arrays["vectors"]
        if absent := [names[0] for names in self.phrases if names[0] not in place]:
            raise ZslbenchError(
                f"{self.vectors[source].name} has no vector of {absent[0]!r} of {self.display_name}; "
                f"fix or uninstall the package of this label set."
            )
        rows = table[[place[names[0]] for names in self.phrases]].astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@cache
def all_label_sets() -> dict[str, LabelSet]:
    """Return name -> label set; packages whose sets cannot be read are left out."""
    found: dict[str, LabelSet] = {}
    for name in LABEL_SETS.names():
        with contextlib.suppress(ZslbenchError):
            for each in LABEL_SETS.get(name)():
                found.setdefault(each.name, each)  # of two packages with one name, the first counts
    return found


def find_label_set(name: str) -> LabelSet | None:
    """Return the label set of a name in ``trained_on``, or ``None`` if zslbench has no list of its labels."""
    return _by_key().get(name_key(name))


def get_label_set(name: str) -> LabelSet:
    """Return the label set called ``name``, or the classes of the dataset of that name.

    Raises
    ------
    NotFoundError
        There is no such label set; the message suggests the nearest names.
    """
    if found := find_label_set(name):
        return found
    if dataset_name(name) in dataset_names():
        return LabelSet.of(get_dataset(name))
    raise NotFoundError(f"no label set is called {name!r}.{suggest(name, all_label_sets())}")


@cache
def _by_key() -> dict[str, LabelSet]:
    return {name_key(alias): each for each in all_label_sets().values() for alias in (each.name, *each.aliases)}


def is_untrained(name: str) -> bool:
    """Return whether ``trained_on`` says that nothing was learnt."""
    return name_key(name) in NOTHING


def is_unknown(name: str) -> bool:
    """Return whether ``trained_on`` says that nobody can list the training data; other data may be named beside it."""
    return name_key(name) == UNKNOWN


def overlap_unknown(trained_on: Sequence[str]) -> bool:
    """Return whether an extractor may have seen classes that no list shows.

    It may if nothing is declared. It also may if one of the declared data has no list of labels: ``unknown``, captions,
    or a name of no label set.

    Examples
    --------
    >>> [overlap_unknown(names) for names in ((), ("unknown",), ("clip",), ("kinetics400", "unknown"))]
    [True, True, True, True]
    >>> overlap_unknown(("nothing",)), overlap_unknown(("kinetics400",))
    (False, False)
    """
    return not trained_on or not all(is_untrained(name) or _has_list(name) for name in trained_on)


def _has_list(name: str) -> bool:
    labels = find_label_set(name)
    return labels is not None and labels.kind != "captions"


def with_captions(chosen: Sequence[str], usual: Sequence[str]) -> tuple[str, ...]:
    """Return what was declared of an extractor, and the captions that it was trained on whatever was declared.

    Fine-tuning on a listed dataset does not undo the training on captions. Only ``nothing`` does: weights are random.

    Examples
    --------
    >>> with_captions(["kinetics400"], ["web-captions"]), with_captions(["ucf101"], ["kinetics400"])
    (('kinetics400', 'web-captions'), ('ucf101',))
    """
    captions = [name for name in usual if (labels := find_label_set(name)) and labels.kind == "captions"]
    if chosen and all(map(is_untrained, chosen)):
        captions = []
    return tuple(dict.fromkeys([*chosen, *captions]))


def trained_on_text(names: Sequence[str]) -> str:
    """Return ``trained_on`` for a table, with the mark ``[W3]`` if the overlap with unseen classes is unknown.

    Examples
    --------
    >>> trained_on_text(["sports1m"]), trained_on_text(["kinetics400", "unknown"]), trained_on_text([])
    ('sports1m', 'kinetics400, unknown [W3]', 'not declared [W3]')
    """
    return (", ".join(names) or "not declared") + (" [W3]" if overlap_unknown(names) else "")
