"""Sentence embeddings of class descriptions: shipped ones, and others if the encoder is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import working_datasets
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError
from zslbench.semantics.encoder import encode_like, encoder_of
from zslbench.semantics.importing import check_new_name, import_classes
from zslbench.semantics.store import SemanticsManifest
from zslbench.semantics.texts import Texts
from zslbench.semantics.words import unit

DEFINITION, ATTRIBUTES = "minilm-definition", "minilm-attributes"
_STORED = {DEFINITION: "vectors", ATTRIBUTES: "attributes"}


def embed_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return sentence embeddings of definitions and attributes, (k, d), of unit length.

    Shipped texts have exactly their shipped vectors. Nothing is downloaded for other texts.

    Parameters
    ----------
    texts
        Any texts. Methods use :attr:`zslbench.method.Classes.encode` instead, which encodes into the space of their
        class vectors.

    Raises
    ------
    NotFoundError
        No dataset ships texts.
    OutOfVocabularyError
        A text is not shipped and the encoder is not on this machine; the message says how to get it.
    """
    if not texts:
        return np.zeros((0, len(next(iter(_shipped().values())))), dtype=np.float32)
    return unit(stored_vectors(_file(), texts).astype(np.float64)).astype(np.float32)


def stored_vectors(table: Path, texts: Sequence[str]) -> NDArray[np.float16]:
    """Return the vectors that texts have, or would have, in a shipped table, (k, d), in the table's format.

    Raises
    ------
    OutOfVocabularyError
        A text is not shipped and the table's encoder is not on this machine.
    """
    rows = shipped_rows(table)
    if absent := list(dict.fromkeys(text for text in texts if text not in rows)):
        rows = rows | dict(zip(absent, encode_like(table, absent), strict=True))
    return np.array([rows[text] for text in texts])


def shipped_rows(table: Path) -> dict[str, NDArray[np.float16]]:
    """Return text -> vector of the shipped texts if the table has the same encoder; otherwise nothing."""
    own = encoder_of(table)
    return _shipped() if own is not None and own == encoder_of(_file()) else {}


def _file() -> Path:
    for dataset in working_datasets():
        if DEFINITION in dataset.vectors:
            return dataset.vectors[DEFINITION]
    raise NotFoundError(f"no dataset here ships {DEFINITION}; install zslbench's own datasets.")


@cache
def _shipped() -> dict[str, NDArray[np.float16]]:
    """Return text -> its row in the shipped files."""
    found: dict[str, NDArray[np.float16]] = {}
    for source, key in _STORED.items():
        paths = {dataset.vectors[source] for dataset in working_datasets() if source in dataset.vectors}
        for path in sorted(paths):
            with np.load(path, allow_pickle=False) as arrays:
                texts, rows = arrays["texts"].ravel().tolist(), arrays[key]
            found |= dict(zip(texts, rows.reshape(len(texts), -1), strict=True))
    return found


def attribute_mean(attributes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return a class vector: the mean of its attributes' unit vectors, scaled to unit length, (k, d) -> (d,)."""
    return unit(unit(attributes.astype(np.float64)).mean(axis=0))


def import_vectors(name: str, texts: Mapping[str, Texts], dataset: Dataset) -> list[SemanticsManifest]:
    """Import class vectors made from texts: ``NAME-definition`` and, if there are attributes, ``NAME-attributes``.

    Raises
    ------
    OutOfVocabularyError
        The encoder is not on this machine.
    ZslbenchError
        A source of that name has vectors of this dataset already, or two classes have equal texts.
    """
    made = {"definition": embed_texts([each.definition for each in texts.values()])}
    if all(each.attributes for each in texts.values()):
        means = [attribute_mean(embed_texts(each.attributes)) for each in texts.values()]
        made["attributes"] = np.array(means, dtype=np.float32)
    manifests = []
    for part, vectors in made.items():
        check_new_name(f"{name}-{part}")
        table = {dataset.name: (list(texts), vectors)}
        manifests.append(import_classes(f"{name}-{part}", Path(f"texts-{name}.npz"), table))
    return manifests
