"""Read word-vector files of every common format into ``vectors.npy`` and ``words.txt``.

The format is recognised from a file's first bytes, not from its name.
"""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.files import reading

Format = Literal["auto", "word2vec-bin", "text", "fasttext-bin", "npz", "csv", "mat"]
VECTOR_FORMATS: tuple[Format, ...] = get_args(Format)

_LONGEST_LINE, _MOST_VALUES = 1 << 24, 1 << 20
_FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")


def sniff(path: Path) -> Format:
    """Return the format that a file's first bytes show.

    Raises
    ------
    ZslbenchError
        The format is known but cannot be imported; the message says how to convert it.
    """
    with reading(path, "check that the download is complete", says=f"{path.name} is damaged"):
        with _open(path) as stream:
            head = stream.read(4096)
        members = zipfile.ZipFile(path).namelist() if head.startswith(b"PK") else []
    if head.startswith(b"PK"):
        if all(member.endswith(".npy") for member in members):
            return "npz"
        raise ZslbenchError(f"{path.name} is a zip archive; unpack it and import the file inside.")
    if head.startswith(b"MATLAB 7.3"):
        raise ZslbenchError(f"{path.name} is a MATLAB 7.3 (HDF5) file; save it with '-v7' and import the new file.")
    if head.startswith(b"MATLAB"):
        return "mat"
    if head.startswith(_FASTTEXT_MAGIC):
        return "fasttext-bin"
    if head.startswith(b"\x80"):
        raise ZslbenchError(
            f"{path.name} is a Python pickle (gensim's native format is one), which could run code when it is opened; "
            f"in gensim, save it with vectors.save_word2vec_format('vectors.bin', binary=True) and import the new file."
        )
    if path.suffix.lower() == ".csv":
        return "csv"
    # Binary and text files of word2vec have the same header: only the first row shows which it is.
    header, _, rest = head.partition(b"\n")
    if re.fullmatch(rb"\d+ \d+\s*", header) and not _is_text_row(rest.partition(b"\n")[0]):
        return "word2vec-bin"
    return "text"


def _is_text_row(row: bytes) -> bool:
    try:  # 4096 bytes may end within the row: its first values are enough
        return bool([float(value) for value in row.split(b" ")[1:-1][:3]] or float(row.split(b" ")[-1]))
    except ValueError:
        return False


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path, "rb")) if zipped else path.open("rb")


def _read_text(path: Path, folder: Path, limit: int | None) -> None:
    """Read the text formats of word2vec, fastText and GloVe, with or without a header, line by line."""
    with _open(path) as stream, (folder / "words.txt").open("wb") as words, (folder / "vectors.npy").open("wb") as out:
        dim, known = 0, set[str]()
        for number, line in enumerate(iter(partial(stream.readline, _LONGEST_LINE), b""), 1):
            if len(line) == _LONGEST_LINE:
                raise ValueError(f"line {number} is longer than {_LONGEST_LINE >> 20} MiB")
            parts = line.decode("utf-8", errors="replace").rstrip().split(" ")
            if number == 1 and len(parts) == 2:
                dim = _dimension(parts[1])  # word2vec's header; GloVe has none
                continue
            dim = dim or len(parts) - 1
            if len(parts) <= dim:
                raise ValueError(f"line {number} has no word and {dim} values")
            word = " ".join(parts[:-dim])  # GloVe 840B has words with spaces, such as ". . ."
            if not known:
                _write_header(out, 0, dim)
            if word not in known:  # of a repeated word, the first row counts, as in gensim
                known.add(word)
                out.write(np.array(parts[-dim:], dtype="<f4").data)
                words.write(_one_line(word))
            if len(known) == limit:
                break
        if not known:
            raise ValueError("it contains no vector")
        _write_header(out, len(known), dim)


def _dimension(text: str) -> int:
    if not 0 < (dim := int(text)) <= _MOST_VALUES:
        raise ValueError(f"its header says {dim} values per word")
    return dim


def _write_header(out: IO[bytes], rows: int, dim: int) -> None:
    # The number of rows is known only at the end. numpy pads its header, so that it can be written again in place.
    out.seek(0)
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)})


def _read_word2vec_bin(path: Path, folder: Path, limit: int | None) -> None:
    from gensim.models import KeyedVectors

    vectors = KeyedVectors.load_word2vec_format(str(path), binary=True, limit=limit, unicode_errors="replace")
    _write_words(folder, vectors.index_to_key, vectors.vectors)


def _read_fasttext_bin(path: Path, folder: Path, limit: int | None) -> None:
    from gensim.models.fasttext import load_facebook_vectors

    # Words of the vocabulary only: a vector made from parts of a word would hide that the word is unknown.
    vectors = load_facebook_vectors(str(path))
    _write_words(folder, vectors.index_to_key[:limit], vectors.vectors[:limit])


WORD_READERS: Mapping[str, Callable[[Path, Path, int | None], None]] = {
    "word2vec-bin": _read_word2vec_bin,
    "text": _read_text,
    "fasttext-bin": _read_fasttext_bin,
}


def _write_words(folder: Path, words: Sequence[str], vectors: NDArray[Any]) -> None:
    if len(words) != len(vectors) or not len(words):
        raise ValueError(f"{len(words)} words for {len(vectors)} vectors")
    np.save(folder / "vectors.npy", np.ascontiguousarray(vectors, dtype="<f4"))
    (folder / "words.txt").write_bytes(b"".join(map(_one_line, words)))


def _one_line(word: str) -> bytes:
    return word.replace("\n", " ").encode("utf-8", errors="replace") + b"\n"  # the number of the line is the row
