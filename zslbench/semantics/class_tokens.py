"""Token vectors of class names and class texts, stored beside imported class vectors.

``<dataset>-tokens.npy`` has the rows of all texts as float16, those of the class names first. ``<dataset>-tokens.npz``
has the ``names`` and ``texts``, the ``counts`` of rows of each, and which rows are ``words``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.semantics.spec import parse_spec
from zslbench.semantics.store import check_files, read_semantics_manifest, semantics_root
from zslbench.semantics.words import unit
from zslbench.tokens import TokenVectors

_SAME = 0.999  # cosine; equal but for rounding


class TokenTable(NamedTuple):
    """The tokens of a dataset's class names and of its class texts.

    Attributes
    ----------
    names, texts
        Class name -> the tokens of its prompt; text -> its tokens.

    Examples
    --------
    >>> TokenTable({"run": TokenVectors(np.ones((3, 2)), np.array([False, True, False]))}, {}).size
    '3 positions, 0.0 MB'
    """

    names: dict[str, TokenVectors]
    texts: dict[str, TokenVectors]

    @property
    def all(self) -> list[TokenVectors]:
        """All tokens, the names' first."""
        return [*self.names.values(), *self.texts.values()]

    @property
    def size(self) -> str:
        """``9,000 positions, 9.2 MB``: how much is stored."""
        values = sum(tokens.rows.size for tokens in self.all)
        return f"{sum(len(tokens.rows) for tokens in self.all):,} positions, {2 * values / 1e6:.1f} MB"


def words_between(offsets: Sequence[tuple[int, int]], start: int, text: str) -> NDArray[np.bool_]:
    """Return which tokens overlap with ``text``, which begins at ``start`` of its prompt.

    Parameters
    ----------
    offsets
        (k, 2) where each token begins and ends in the prompt, as a tokenizer returns it; equal for start and end.

    Raises
    ------
    ZslbenchError
        None does: the prompt was cut before the text.

    Examples
    --------
    >>> words_between([(0, 0), (0, 1), (2, 5), (0, 0)], 2, "run")
    array([False, False,  True, False])
    """
    found = np.array([first < start + len(text) and last > max(first, start) for first, last in offsets])
    if not found.any():
        raise ZslbenchError(f"no token of {text!r} is left in its prompt; give a shorter --template.")
    return found


def check_same_space(title: str, vector: NDArray[np.floating], rows: NDArray[np.floating]) -> None:
    """Refuse token vectors, (k, d), of a text whose vector, (d,), is neither one of them nor their mean.

    Raises
    ------
    ZslbenchError
        It is neither, so nothing says that they are in one space.
    """
    near = np.concatenate([rows, rows.mean(axis=0, keepdims=True)]).astype(np.float64)
    if rows.shape[1:] != vector.shape or (unit(near) @ unit(vector.astype(np.float64))).max() < _SAME:
        raise no_tokens(title)


def no_tokens(title: str) -> ZslbenchError:
    """Return the error for a model whose token vectors are of no use here."""
    return ZslbenchError(
        f"{title} gives no token vectors in the space of its text vectors; leave out --tokens, or use a CLIP, an "
        f"X-CLIP or a model of sentence-transformers that takes the mean of its tokens."
    )


def write_tokens(folder: Path, dataset: str, table: TokenTable) -> None:
    """Write the tokens of a dataset's classes, rounded to float16."""
    tokens = table.all
    np.save(folder / f"{dataset}-tokens.npy", np.concatenate([each.rows for each in tokens]).astype(np.float16))
    np.savez(
        folder / f"{dataset}-tokens.npz",
        names=np.array(list(table.names)),
        texts=np.array(list(table.texts), dtype=np.str_),
        counts=np.array([len(each.rows) for each in tokens]),
        words=np.concatenate([each.words for each in tokens]),
    )


def class_tokens(
    spec: str, dataset: Dataset, names: Sequence[str], texts: Sequence[Sequence[str]]
) -> tuple[tuple[TokenVectors, ...], ...] | None:
    """Return the tokens of each class: of its prompted name, then of its texts.

    The rows are views of the file. The tokens of the texts are left out where one of the texts has none.

    Returns
    -------
    tuple or None
        None if the source has no tokens of this dataset.

    Raises
    ------
    ZslbenchError
        A file has changed since the import.
    """
    source = parse_spec(spec)[0]
    if source in dataset.vectors:
        return None
    manifest = read_semantics_manifest(source)
    if f"{dataset.name}-tokens.npy" not in manifest.files:
        return None
    folder = semantics_root() / source
    check_files(folder, manifest.files)
    rows = np.load(folder / f"{dataset.name}-tokens.npy", mmap_mode="r", allow_pickle=False)
    with np.load(folder / f"{dataset.name}-tokens.npz", allow_pickle=False) as arrays:
        stored = [arrays[key].tolist() for key in ("names", "texts")]
        ends, words = np.cumsum(arrays["counts"])[:-1], arrays["words"]
    found = [TokenVectors(*each) for each in zip(np.split(rows, ends), np.split(words, ends), strict=True)]
    of_name = dict(zip(stored[0], found[: len(stored[0])], strict=True))
    of_text = dict(zip(stored[1], found[len(stored[0]) :], strict=True))
    return tuple(
        (of_name[name], *(of_text[text] for text in said if set(said) <= of_text.keys()))
        for name, said in zip(names, texts, strict=True)
    )
