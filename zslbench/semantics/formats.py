"""Read word-vector files of every common format into ``vectors.npy`` and ``words.txt``.

The format is recognised from a file's first bytes, not from its name.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import re
import statistics
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import numpy as np

from zslbench.errors import ZslbenchError, some
from zslbench.files import reading
from zslbench.semantics._class_tables import is_number
from zslbench.semantics._gensim_vectors import read_keyed
from zslbench.semantics._parquet_words import is_parquet_words, read_parquet_words
from zslbench.semantics._spacy_vectors import is_spacy, read_spacy
from zslbench.semantics._word_rows import Subwords, WordRows, write_rows, write_stream

Format = Literal[
    "auto", "word2vec-bin", "text", "fasttext-bin", "hdf5", "spacy", "parquet", "pickle",
    "npz", "csv", "mat", "npy", "json", "torch",
]  # fmt: skip
VECTOR_FORMATS: tuple[Format, ...] = get_args(Format)

_LONGEST_LINE, _MOST_VALUES = 1 << 24, 1 << 20
_BLOCK = 1 << 20
_AHEAD = 99  # lines that show how many values follow each word
_FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")
_BY_MAGIC: dict[bytes, Format] = {
    _FASTTEXT_MAGIC: "fasttext-bin",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"\x93NUMPY": "npy",
    b"MATLAB": "mat",
}


def sniff(path: Path) -> Format:
    """Return the format that a file's first bytes show.

    Raises
    ------
    ZslbenchError
        The format is known but cannot be imported; the message says how to convert it.
    """
    if is_spacy(path):
        return "spacy"
    if is_parquet_words(path):
        return "parquet"
    with reading(path, "check that the download is complete", says=f"{path.name} is damaged"):
        if _first(path, 2) == b"PK":
            members = _members(path)
            if all(member.endswith(".npy") for member in members):
                return "npz"
            if any(member.endswith("/data.pkl") for member in members):
                return "torch"
            if len(members) > 1:
                raise ZslbenchError(
                    f"{path.name} is a zip archive of several files ({some(members, 4)}); unpack it and import one."
                )
        with _open(path) as stream:
            head = stream.read(4096)
    if head[257:262] == b"ustar":
        raise ZslbenchError(f"{path.name} is a tar archive; unpack it and import the file of vectors in it.")
    if path.suffix.lower() == ".mat":  # version 7.3 is HDF5, with or without MATLAB's text before it
        return "mat"
    if found := next((known for magic, known in _BY_MAGIC.items() if head.startswith(magic)), None):
        return found
    if head.startswith(b"\x80"):
        return "torch" if path.suffix.lower() in (".pt", ".pth") else "pickle"
    if path.suffix.lower() in (".csv", ".tsv"):
        return "csv"
    if path.suffix.lower() == ".json" or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b'{"', b"[[")):
        return "json"
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


def _first(path: Path, size: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(size)


def _members(path: Path) -> list[str]:
    """Return the files of a zip archive without folders, and without what macOS adds."""
    names = zipfile.ZipFile(path).namelist()
    return [name for name in names if not name.endswith("/") and not name.startswith("__MACOSX/")]


def _open(path: Path) -> IO[bytes]:
    """Open a file, also inside gzip, bzip2, xz or a zip archive of one file."""
    start = _first(path, 3)
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if start == b"BZh":
        return cast("IO[bytes]", bz2.open(path, "rb"))
    if start.startswith(b"PK"):
        return zipfile.ZipFile(path).open(_members(path)[0])
    if start == b"\xfd7z":
        return lzma.open(path, "rb")
    return path.open("rb")


def _read_text(path: Path, folder: Path, limit: int | None) -> WordRows:
    """Read the text formats of word2vec, fastText and GloVe, with or without a header, line by line."""
    with _open(path) as stream:
        lines = _parts(stream)
        ahead = list(itertools.islice(lines, _AHEAD))
        if not ahead:
            raise ValueError("it contains no vector")
        header = ahead.pop(0)[1] if _is_header(ahead[0][1]) else None  # word2vec's; GloVe has none
        # Few words have spaces: the usual number of parts is that of one word and its values.
        dim = _dimension(header[1]) if header else statistics.mode(len(parts) for _, parts in ahead) - 1
        if header and ahead and all(len(parts) > dim + 1 and is_number(parts[-dim - 1]) for _, parts in ahead):
            raise ValueError(f"its header says {dim} values per word, and line {ahead[0][0]} has more")
        rows = _text_rows(itertools.chain(ahead, lines), dim)
        return write_stream(folder, rows, dim, limit, int(header[0]) if header else None)


def _text_rows(lines: Iterable[tuple[int, list[str]]], dim: int) -> Iterator[tuple[str, bytes]]:
    for number, parts in lines:
        if parts == [""]:
            continue
        if len(parts) <= dim or not dim:
            raise ValueError(f"line {number} has no word and {dim or 'no'} values with spaces or tabs between them")
        entry = " ".join(parts[: len(parts) - dim])  # GloVe 840B has words with spaces, such as ". . ."
        yield entry, np.array(parts[-dim:], dtype="<f4").tobytes()


def _is_header(parts: Sequence[str]) -> bool:
    return len(parts) == 2 and all(re.fullmatch(r"-?\d+", part) for part in parts)


def _parts(stream: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line and what spaces or tabs separate in it."""
    mark = "\ufeff"  # of the byte order, before the first line of some files
    for number, line in enumerate(iter(partial(stream.readline, _LONGEST_LINE), b""), 1):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"line {number} is longer than {_LONGEST_LINE >> 20} MiB")
        text = line.decode("utf-8", errors="replace").rstrip().replace("\t", " ")
        while "  " in text:
            text = text.replace("  ", " ")
        yield number, (text.removeprefix(mark) if number == 1 else text).split(" ")


def _dimension(text: str) -> int:
    if not 0 < (dim := int(text)) <= _MOST_VALUES:
        raise ValueError(f"its header says {dim} values per word")
    return dim


def _read_word2vec_bin(path: Path, folder: Path, limit: int | None) -> WordRows:
    with _open(path) as stream:
        n, size = stream.readline().split()
        dim = _dimension(size.decode())
        return write_stream(folder, itertools.islice(_binary_rows(stream, dim), int(n)), dim, limit, int(n))


def _binary_rows(stream: IO[bytes], dim: int) -> Iterator[tuple[str, bytes]]:
    rest = b""
    while block := stream.read(_BLOCK):
        rest, start = rest + block, 0
        while (space := rest.find(b" ", start)) >= 0 and space + 4 * dim < len(rest):
            word, end = rest[start:space], space + 1 + 4 * dim
            yield word.lstrip(b"\n").decode("utf-8", "replace"), rest[space + 1 : end]  # some end a vector by a newline
            start = end
        rest = rest[start:]


def _read_fasttext_bin(path: Path, folder: Path, limit: int | None) -> WordRows:
    from gensim.models.fasttext import load_facebook_vectors

    vectors = load_facebook_vectors(str(path))
    note = write_rows(folder, vectors.index_to_key, vectors.vectors, limit)
    if limit is not None or not vectors.bucket or not vectors.max_n:
        return WordRows(note)  # with a limit, parts would hide that the word's own vector was left out
    np.save(folder / "subwords.npy", np.ascontiguousarray(vectors.vectors_ngrams, dtype="<f4"))
    return WordRows(note, Subwords(shortest=vectors.min_n, longest=vectors.max_n, buckets=vectors.bucket))


def _read_hdf5(path: Path, folder: Path, limit: int | None) -> WordRows:
    """Read a table of vectors beside its words, such as the HDF5 of pandas in which ConceptNet has its small file."""
    import h5py

    with h5py.File(path, "r") as file:
        words, vectors = labelled_rows(file)
        return WordRows(write_rows(folder, words, vectors, limit))


def labelled_rows(file: Any) -> tuple[list[str], Any]:
    """Return the only list of strings in an HDF5 file that is as long as a table of numbers, and this table.

    Raises
    ------
    ValueError
        There is no such pair, or more than one.
    """
    found: dict[str, Any] = {}
    file.visititems(lambda name, each: found.update({name: each} if hasattr(each, "dtype") else {}))
    texts = {name: each for name, each in found.items() if each.ndim == 1 and each.dtype.kind in "SO"}
    tables = {name: each for name, each in found.items() if each.ndim == 2 and each.dtype.kind in "fiu"}
    pairs = [(t, v) for t in texts for v in tables if len(texts[t]) == len(tables[v])]
    pairs = [(t, v) for t, v in pairs if t.endswith("axis1")] or pairs  # pandas: axis0 has the names of the columns
    if len(pairs) != 1:
        raise ValueError(f"it needs one table of vectors and one list of as many words; it has {some(list(found), 5)}")
    words, vectors = texts[pairs[0][0]], tables[pairs[0][1]]
    return [word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in words[:]], vectors


def _read_keyed(path: Path, folder: Path, limit: int | None) -> WordRows:
    words, vectors = read_keyed(path)
    return WordRows(write_rows(folder, words, vectors, limit))


def _read_spacy(path: Path, folder: Path, limit: int | None) -> WordRows:
    words, rows, vectors = read_spacy(path)
    return WordRows(write_rows(folder, words, vectors, limit, rows))


def _read_parquet(path: Path, folder: Path, limit: int | None) -> WordRows:
    words, vectors = read_parquet_words(path)
    return WordRows(write_rows(folder, words, vectors, limit))


WORD_READERS: Mapping[str, Callable[[Path, Path, int | None], WordRows]] = {
    "word2vec-bin": _read_word2vec_bin,
    "text": _read_text,
    "fasttext-bin": _read_fasttext_bin,
    "hdf5": _read_hdf5,
    "spacy": _read_spacy,
    "parquet": _read_parquet,
    "pickle": _read_keyed,
}
