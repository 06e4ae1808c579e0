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

from zslbench.datasets.class_names import name_key
from zslbench.errors import ZslbenchError, suggest
from zslbench.files import check_archive, reading
from zslbench.semantics.formats import WORD_READERS, sniff
from zslbench.videos import FloatArray

WRITERS = {".kv": "text", ".txt": "text", ".bin": "binary", ".npz": "npz"}


@dataclass(frozen=True)
class VectorTable:
    """Named vectors.

    Attributes
    ----------
    names
        (n,) unique names, in the order of the rows.
    vectors
        (n, d) float32.

    Examples
    --------
    >>> write_vectors(Path("mine.kv"), ["play piano", "swim"], np.eye(2))
    >>> table = read_table(Path("mine.kv"))
    >>> table.names, table.find("Play Piano")
    (('play_piano', 'swim'), 0)
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
            keys.setdefault(name_key(name) or name, row)  # a name of punctuation stays as it is
        return keys

    def find(self, name: str) -> int | None:
        """Return the row of a name, or of the first name that differs only in case, spaces, underscores and hyphens."""
        row = self._rows.get(name)
        return self._rows_by_key.get(name_key(name) or name) if row is None else row


def read_table(path: Path) -> VectorTable:
    """Return the vectors of a file: word2vec text or binary, GloVe, fastText, or an ``.npz`` with names and vectors.

    Raises
    ------
    ZslbenchError
        There is no such file, or it has none of these formats.
    """
    if not path.is_file():
        raise ZslbenchError(f"there is no file {path}; check the path, or write one with 'zslbench embeddings export'.")
    chosen = sniff(path)
    remedy = "give a word2vec file (.kv, .txt, .bin) or an .npz with names and vectors"
    with reading(path, remedy, says=f"{path} contains no named vectors"):
        if chosen == "npz":
            check_archive(path)
            with np.load(path, allow_pickle=False) as arrays:
                found = VectorTable(tuple(map(str, arrays["names"].tolist())), arrays["vectors"].astype(np.float32))
        else:
            with tempfile.TemporaryDirectory() as folder:
                WORD_READERS[chosen](path, Path(folder), None)
                names = (Path(folder) / "words.txt").read_bytes().decode("utf-8").removesuffix("\n").split("\n")
                found = VectorTable(tuple(names), np.load(Path(folder) / "vectors.npy", allow_pickle=False))
    if bad := np.flatnonzero(~np.isfinite(found.vectors).all(axis=1)).tolist():
        raise ZslbenchError(
            f"{path}: the vector of {found.names[bad[0]]!r} has NaN or infinite values; make the file again."
        )
    return found


def write_vectors(path: Path, names: Sequence[str], vectors: NDArray[Any], **more: NDArray[Any]) -> None:
    """Write named vectors in the format of the file's suffix.

    Parameters
    ----------
    path
        ``.kv`` or ``.txt``: word2vec text; ``.bin``: word2vec binary; ``.npz``: ``names`` and ``vectors``.
    names
        (n,) names; spaces become underscores except in ``.npz``.
    vectors
        (n, d); written as float32, also in text without any loss.
    more
        Further arrays, (n, ...), for ``.npz`` only.

    Raises
    ------
    ZslbenchError
        The suffix is unknown, or two names differ only in spaces and underscores.
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
    for row, key in enumerate(keys):  # gensim sorts rows by an attribute, the largest first; keep them as they are
        table.set_vecattr(key, "order", -row)
    table.save_word2vec_format(str(path), binary=kind == "binary", sort_attr="order")


def word2vec_name(name: str) -> str:
    """Return a name in the form of word2vec's formats, which allow no spaces.

    Examples
    --------
    >>> word2vec_name("playing bass guitar")
    'playing_bass_guitar'
    """
    return re.sub(r"\s+", "_", name.strip())


def writer_of(path: Path) -> str:
    """Return the format for a file of this name: ``text``, ``binary`` or ``npz``.

    Raises
    ------
    ZslbenchError
        Its suffix is unknown.
    """
    if path.suffix not in WRITERS:
        raise ZslbenchError(f"{path.name} must end in one of {', '.join(WRITERS)}.{suggest(path.suffix, WRITERS)}")
    return WRITERS[path.suffix]


def words_path(path: Path) -> Path:
    """Return the file of the words that belong to a table of classes: ``action2vec.kv`` -> ``action2vec.words.kv``."""
    return path.with_name(f"{path.stem}.words{path.suffix}")
