"""Read the word vectors of a spaCy model from its folder ``vocab``, without spaCy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.files import read_json

_M, _R, _ALL = 0xC6A4A7935BD1E995, 47, (1 << 64) - 1


def is_spacy(path: Path) -> bool:
    """Return whether a folder, or the folder of a file, has the vectors of a spaCy model."""
    return _vocab(path) is not None


def read_spacy(path: Path) -> tuple[list[str], list[int], NDArray[Any]]:
    """Return the words, the row of each, and the (n, d) vectors as a memory map.

    Parameters
    ----------
    path
        The folder of a model (``en_core_web_lg``), its folder ``vocab``, or the file ``vectors`` in it.

    Raises
    ------
    ZslbenchError
        The vectors are of floret, which has no vector per word.
    """
    import msgpack

    vocab = _vocab(path)
    assert vocab is not None  # noqa: S101 - is_spacy has found it
    config = read_json(vocab / "vectors.cfg") if (vocab / "vectors.cfg").is_file() else {}
    if config.get("mode", "default") != "default":
        raise ZslbenchError(
            f"{path.name} has spaCy vectors of mode {config['mode']!r}, which has no vector per word; "
            f"give a model with a vector table, such as en_core_web_lg."
        )
    rows = msgpack.unpackb((vocab / "key2row").read_bytes(), strict_map_key=False)
    words = {spacy_hash(word): word for word in read_json(vocab / "strings.json")}
    vectors = np.load(vocab / "vectors", mmap_mode="r", allow_pickle=False)
    found = [(words[key], row) for key, row in rows.items() if key in words and 0 <= row < len(vectors)]
    if not found:
        raise ValueError(f"none of its {len(rows)} vectors has a word in strings.json")
    return [word for word, _ in found], [row for _, row in found], vectors


def _vocab(path: Path) -> Path | None:
    """Return the folder of the files ``vectors`` and ``key2row``; a package has it two folders down."""
    if path.is_dir():
        places = [path, path / "vocab", *path.glob("*/vocab"), *path.glob("*/*/vocab")]
    else:
        places = [path.parent] if path.name in ("vectors", "key2row") else []
    return next((each for each in places if (each / "key2row").is_file() and (each / "vectors").is_file()), None)


def spacy_hash(word: str) -> int:
    """Return the number of a string in spaCy's tables: MurmurHash64A of its UTF-8, with seed 1.

    >>> spacy_hash("coffee")  # as in spaCy's own documentation
    3197928453018144401
    """
    text = word.encode("utf-8", "surrogatepass")
    h = 1 ^ (len(text) * _M & _ALL)
    whole = len(text) // 8 * 8
    for i in range(0, whole, 8):
        k = int.from_bytes(text[i : i + 8], "little") * _M & _ALL
        k = (k ^ k >> _R) * _M & _ALL
        h = (h ^ k) * _M & _ALL
    if whole < len(text):
        h = (h ^ int.from_bytes(text[whole:], "little")) * _M & _ALL
    h = (h ^ h >> _R) * _M & _ALL
    return h ^ h >> _R
