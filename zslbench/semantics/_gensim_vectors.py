"""Read gensim's ``KeyedVectors`` and pickled dicts of word -> vector, by a reader of plain data that runs nothing."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.datasets.pickles import load_plain
from zslbench.errors import ZslbenchError

# Their objects are read as dicts of attributes; these names are compared, never imported. Of fastText's own class the
# vectors are not in the file: gensim makes them again from parts.
_CLASSES = {
    ("gensim.models.keyedvectors", name)
    for name in ("KeyedVectors", "Word2VecKeyedVectors", "EuclideanKeyedVectors", "Vocab")
}
_KEYS = ("index_to_key", "index2word", "index2entity")  # of gensim 4, 3 and before


def read_pickle(path: Path) -> Any:
    """Return the plain data of a pickle, and the attributes of ``KeyedVectors`` as a dict.

    Raises
    ------
    ZslbenchError
        It wants more than arrays and the attributes of ``KeyedVectors``.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        try:
            return load_plain(mapped, path.name, _CLASSES)
        except ZslbenchError as error:
            parts = ", or, with the vectors of parts, save_facebook_model(model, 'vectors.bin')"
            raise ZslbenchError(
                f"{str(error).partition(';')[0]}; save the vectors as a file of word2vec: in gensim, "
                f"vectors.save_word2vec_format('vectors.bin', binary=True), or model.wv.save_word2vec_format(...)"
                f"{parts if 'gensim.models.fasttext' in str(error) else ''}."
            ) from None


def read_keyed(path: Path) -> tuple[list[str], Any]:
    """Return the words and their (n, d) vectors; large ones lie beside the file, as ``FILE.vectors.npy``.

    Raises
    ------
    ValueError
        It is neither ``KeyedVectors`` nor a dict of word -> vector, or the array beside it is missing.
    """
    content = read_pickle(path)
    held = content if isinstance(content, Mapping) else {}
    if (words := next((held[key] for key in _KEYS if key in held), None)) is not None:
        return list(map(str, words)), _array(path, held, "vectors")
    parts = list(held.values()) or content
    if isinstance(parts, list | tuple) and (pairs := list(_tables(parts))):
        if len(pairs) > 1:
            raise ValueError("it has several tables of as many vectors as words")
        return pairs[0]
    if not held:
        raise ValueError("it contains neither gensim's KeyedVectors nor a dict of word -> vector")
    return list(map(str, held)), np.stack([np.asarray(row, np.float32) for row in held.values()])


def _tables(parts: Sequence[Any]) -> Iterator[tuple[list[str], Any]]:
    """Yield each table, (n, d), with the lists of n words beside it: in a tuple or a dict of both."""
    for words in parts:
        if isinstance(words, list | tuple | np.ndarray) and len(words) and all(isinstance(word, str) for word in words):
            tables = [each for each in parts if isinstance(each, np.ndarray) and each.ndim == 2]
            yield from ((list(words), table) for table in tables if len(table) == len(words))


def _array(path: Path, content: Mapping[str, Any], name: str) -> Any:
    if isinstance(content.get(name), np.ndarray):
        return content[name]
    beside = path.with_name(f"{path.name}.{name}.npy")
    if not beside.is_file():
        raise ValueError(f"{beside.name} is missing, which gensim has written beside it")
    return np.load(beside, mmap_mode="r", allow_pickle=False)
