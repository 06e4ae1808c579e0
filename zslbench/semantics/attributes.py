"""Class attributes: a user's matrix, or binary ones derived from class texts.

A matrix is imported in the same way as class vectors (``zslbench semantics import NAME FILE``) and is not changed.
Derived attributes are the content words of the class texts: a class has an attribute if its texts contain the word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.stems import STOP_WORDS, stem
from zslbench.semantics.texts import Texts, open_texts

DERIVED = "texts"  # the name of attributes derived from class texts


@dataclass(frozen=True)
class Attributes:
    """The attributes of the classes of some datasets.

    Attributes
    ----------
    names
        (n_attributes,) name of each attribute; numbers if a matrix came without names.
    rows
        Dataset -> class -> (n_attributes,) float32.

    Examples
    --------
    >>> from zslbench.semantics.texts import Texts
    >>> said = {"kayak": "Water and a boat.", "surf": "Water and a board.", "chess": "A board and pieces."}
    >>> found = derive({"mine": {name: Texts(definition=text, attributes={}) for name, text in said.items()}})
    >>> found.names, found.take("mine", ["surf"]).tolist()
    (('board', 'water'), [[1.0, 1.0]])
    """

    names: tuple[str, ...]
    rows: Mapping[str, Mapping[str, NDArray[np.float32]]]

    @cached_property
    def digest(self) -> str:
        """Digest of names and values; it does not depend on the order of the classes."""
        values = {d: {name: row.tolist() for name, row in table.items()} for d, table in self.rows.items()}
        return digest({"names": self.names, "rows": values})

    def take(self, dataset: str, classes: Sequence[str]) -> NDArray[np.float32]:
        """Return (n_classes, n_attributes)."""
        return np.stack([self.rows[dataset][name] for name in classes])


def open_attributes(name: str, datasets: Sequence[Dataset], texts: str) -> Attributes:
    """Return the attributes of all classes of ``datasets``, the same ones for each.

    Parameters
    ----------
    name
        ``texts``, or the name of an imported matrix.
    texts
        Name of the class texts that ``texts`` reads.

    Raises
    ------
    NotFoundError
        There is no such matrix, or a dataset has no such texts.
    ZslbenchError
        Two classes of a dataset have equal attributes, or a class has no attribute.
    """
    if name == DERIVED:
        return derive({dataset.name: open_texts(texts, dataset) for dataset in datasets})
    # Not normalised: 0 and 1 are the values that attribute methods expect.
    tables = {d.name: open_semantics(f"{name}:normalise=false", d) for d in datasets}
    width = next(iter(tables.values())).vectors.shape[1]
    rows = {d: dict(zip(table.names, table.vectors, strict=True)) for d, table in tables.items()}
    return Attributes(tuple(map(str, range(width))), rows)


def derive(texts: Mapping[str, Mapping[str, Texts]]) -> Attributes:
    """Return binary attributes: the stems of content words in the texts of at least two classes, but not of all.

    Words that occur for the same classes form one attribute, named after the first of them.

    Raises
    ------
    ZslbenchError
        The texts give two classes the same attributes, or give a class no attribute.
    """
    said = {(d, name): words(each) for d, table in texts.items() for name, each in table.items()}
    counts = Counter(word for found in said.values() for word in found)
    columns: dict[tuple[bool, ...], str] = {}
    for word in sorted(word for word, n in counts.items() if 2 <= n < len(said)):
        columns.setdefault(tuple(word in found for found in said.values()), word)
    table = np.array(list(columns), dtype=np.float32).reshape(len(columns), len(said)).T
    known: dict[tuple[str, bytes], str] = {}
    for (dataset, name), row in zip(said, table, strict=True):
        other = known.setdefault((dataset, row.tobytes()), name)
        if other != name or not row.any():
            problem = f"the same attributes as {other}" if other != name else "no attribute"
            raise ZslbenchError(
                f"the class texts give {name} of {dataset} {problem} (words in the texts of at least two classes); "
                f"describe it in texts of your own ('zslbench texts import'), or import a matrix of attributes."
            )
    rows: dict[str, dict[str, NDArray[np.float32]]] = {d: {} for d in texts}
    for (dataset, name), row in zip(said, table, strict=True):
        rows[dataset][name] = row
    return Attributes(tuple(columns.values()), rows)


def words(texts: Texts) -> frozenset[str]:
    """Return the stems of the content words in a class's definition and attributes."""
    found = re.findall(r"[a-z]+", " ".join(texts.all).casefold().replace("'s", ""))
    return frozenset(stem(word) for word in found if word not in STOP_WORDS)
