"""Tables of named vectors, in files that gensim reads."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError, suggest
from zslbench.semantics.formats import DAMAGED, WORD_READERS, sniff
from zslbench.videos import FloatArray

WRITERS = {".kv": "text", ".txt": "text", ".bin": "binary", ".npz": "npz"}


@dataclass(frozen=True)
class VectorTable:
    """Named vectors.

    Attributes
    ----------
    names
        (n,) unique names, in the rows' order.
    vectors
        (n, d) float32.
    """

    names: tuple[str, ...]
    vectors: FloatArray

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    @cached_property
    def _rows_by_key(self) -> dict[str, int]:
        keys: dict[str, int] = {}
        for row, name in enumerate(self.names):
            keys.setdefault(_key(name), row)
        return keys

    def find(self, name: str) -> int | None:
        """Return the row of a name, or of the first that differs from it in case, spaces, underscores and hyphens."""
        row = self._rows.get(name)
        return self._rows_by_key.get(_key(name)) if row is None else row


def _key(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum()) or name


def read_table(path: Path) -> VectorTable:
    """Return the vectors of a file: word2vec text or binary, GloVe, fastText, or an ``.npz`` with names and vectors.

    Raises
    ------
    ZslbenchError
        There is no such file, or it is none of these.
    """
    if not path.is_file():
        raise ZslbenchError(f"there is no file {path}; check the path, or write one with 'zslbench embeddings export'.")
    chosen = sniff(path)
    try:
        if chosen == "npz":
            with np.load(path, allow_pickle=False) as arrays:
                return VectorTable(tuple(map(str, arrays["names"].tolist())), arrays["vectors"].astype(np.float32))
        with tempfile.TemporaryDirectory() as folder:
            WORD_READERS[chosen](path, Path(folder), None)
            names = (Path(folder) / "words.txt").read_bytes().decode("utf-8").removesuffix("\n").split("\n")
            return VectorTable(tuple(names), np.load(Path(folder) / "vectors.npy", allow_pickle=False))
    except (*DAMAGED, KeyError) as error:
        raise ZslbenchError(
            f"{path} holds no named vectors ({error}); give a word2vec file (.kv, .txt, .bin) or an .npz with names "
            f"and vectors."
        ) from error


def write_vectors(path: Path, names: Sequence[str], vectors: NDArray[Any], **more: NDArray[Any]) -> None:
    """Write named vectors in the format that the file's suffix tells.

    Parameters
    ----------
    path
        ``.kv`` or ``.txt``: word2vec text; ``.bin``: word2vec binary; ``.npz``: ``names`` and ``vectors``.
    names
        (n,) names; spaces become underscores except in ``.npz``.
    vectors
        (n, d); written as float32, of which text keeps every bit.
    more
        Further arrays, (n, ...), for ``.npz`` alone.

    Raises
    ------
    ZslbenchError
        The suffix is none of these, or two names differ in spaces and underscores only.
    """
    kind = writer_of(path)
    vectors = np.asarray(vectors, dtype=np.float32)
    if kind == "npz":
        arrays = {"names": np.array(names, dtype=str), "vectors": vectors, **more}
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return
    from gensim.models import KeyedVectors

    keys = [word2vec_name(name) for name in names]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ZslbenchError(f"two names become {twice!r} in word2vec's format; write an .npz instead.")
    table = KeyedVectors(vectors.shape[1])
    table.add_vectors(keys, vectors)
    for row, key in enumerate(keys):  # gensim sorts rows by an attribute, the greatest first
        table.set_vecattr(key, "order", -row)
    table.save_word2vec_format(str(path), binary=kind == "binary", sort_attr="order")


def word2vec_name(name: str) -> str:
    """Return a name as word2vec's formats carry it, which know no spaces.

    >>> word2vec_name("playing bass guitar")
    'playing_bass_guitar'
    """
    return re.sub(r"\s+", "_", name.strip())


def writer_of(path: Path) -> str:
    """Return how a file of this name is written.

    Raises
    ------
    ZslbenchError
        Its suffix is not known.
    """
    if path.suffix not in WRITERS:
        raise ZslbenchError(f"{path.name} ends in none of {', '.join(WRITERS)}.{suggest(path.suffix, WRITERS)}")
    return WRITERS[path.suffix]


def words_path(path: Path) -> Path:
    """Return where the words that belong to a table of classes lie: ``action2vec.kv`` -> ``action2vec.words.kv``."""
    return path.with_name(f"{path.stem}.words{path.suffix}")
