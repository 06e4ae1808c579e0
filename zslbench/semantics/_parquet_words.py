"""Read word vectors from a folder of a table, ``.npy``, and a list of as many words, ``.parquet``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_parquet_words(path: Path) -> bool:
    """Return whether a folder has one ``.npy`` and one ``.parquet`` file."""
    return path.is_dir() and all(len(list(path.glob(f"*.{suffix}"))) == 1 for suffix in ("npy", "parquet"))


def read_parquet_words(path: Path) -> tuple[list[str], NDArray[Any]]:
    """Return the words and their (n, d) vectors as a memory map.

    Raises
    ------
    ValueError
        There is no column of words, or more than one, or they are not as many as the vectors.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    (words_file,), (vectors_file,) = path.glob("*.parquet"), path.glob("*.npy")
    columns = [column.name for column in pq.read_schema(words_file) if pa.types.is_string(column.type)]
    if len(columns) != 1:
        raise ValueError(f"{words_file.name} needs one column of words, and has {len(columns)}")
    words = pq.read_table(words_file, columns=columns)[columns[0]].to_pylist()
    vectors = np.load(vectors_file, mmap_mode="r", allow_pickle=False)
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise ValueError(
            f"{vectors_file.name} is an array of {vectors.shape}, and {words_file.name} has {len(words):,} words"
        )
    return words, vectors
