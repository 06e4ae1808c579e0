"""Choose the words to keep of a file of word vectors, and write their rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from zslbench.errors import ZslbenchError

_CONCEPT = re.compile(r"/c/([a-z]{2,3}(?:_[a-z]+)?)/([^/]+)(/.*)?")  # ConceptNet: /c/en/apply_makeup, also /c/en/run/v
_BLOCK = 1 << 14  # rows to copy at a time


class Subwords(BaseModel):
    """How fastText divides a word into parts: its lengths of parts in characters, and rows of their vectors.

    Examples
    --------
    >>> Subwords(shortest=3, longest=6, buckets=2_000_000).longest
    6
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shortest: int
    longest: int
    buckets: int


class WordRows(NamedTuple):
    """What a reader says about the words that it has written."""

    note: str = ""
    subwords: Subwords | None = None


class KeptWords:
    """The words to keep, each once: of ConceptNet's entries the English ones, without ``/c/en/``.

    Examples
    --------
    >>> kept = KeptWords(limit=None)
    >>> [kept.take(entry) for entry in ("/c/de/auge", "/c/en/eye", "/c/en/eye", "run")]
    [None, 'eye', None, 'run']
    """

    def __init__(self, limit: int | None) -> None:
        self.known: set[str] = set()
        self.limit = limit
        self.rows = 0  # read, also those that are not kept
        self.said: int | None = None  # the number of rows in the file's header
        self.again = 0
        self.foreign = ""
        self.concepts = 0
        self.senses: set[str] = set()  # words of which only a sense was read, such as /c/en/run/v
        self.written = 0

    @property
    def full(self) -> bool:
        """Whether there are as many words as asked for."""
        return len(self.known) == self.limit

    @property
    def note(self) -> str:
        """What was chosen, if not all words, and what the file's header says wrongly."""
        told = ["ConceptNet's English words"] if self.concepts else []
        if self.senses:
            told.append(f"{len(self.senses):,} of them by their first sense")
        if self.again:
            told.append(f"{self.again:,} rows of words that were read before are left out")
        if self.said is not None and self.rows > self.said:
            told.append(f"all {self.rows:,} rows, though its header says {self.said:,}")
        return "; ".join(told)

    def take(self, entry: str) -> str | None:
        """Return the word of an entry, or ``None`` if it is of another language or known.

        The first row of a word counts, but the word itself before its senses. So a word can be returned twice; the
        later row is the right one, and :meth:`zslbench.semantics.words.WordVectors.find` takes it.
        """
        word, sense = entry, False
        self.rows += 1
        if entry.startswith("/c/") and (match := _CONCEPT.fullmatch(entry)):
            if match[1] != "en":
                self.foreign = entry
                return None
            self.concepts += 1
            word, sense = match[2], bool(match[3])
        if word in self.known and (sense or word not in self.senses):
            self.again += not sense
            return None
        (self.senses.add if sense else self.senses.discard)(word)
        self.known.add(word)
        self.written += 1
        return word

    def check(self, said: int | None = None) -> None:
        """Refuse files without a word, and those that end early.

        Parameters
        ----------
        said
            Number of words in the file's header.

        Raises
        ------
        ZslbenchError, ValueError
            There are only words of other languages, or none, or fewer words than the header says.
        """
        self.said = said
        if said is not None and self.rows < said and not self.full:  # cut off, perhaps at the end of a line
            raise ValueError(f"its header says {said:,} words and it has {self.rows:,}")
        if not self.known and self.foreign:
            raise ZslbenchError(
                f"none of the words is English: they are such as {self.foreign}; give a release with words such as "
                f"/c/en/run, or without such prefixes."
            )
        if not self.known:
            raise ValueError("it contains no vector")


def write_stream(
    folder: Path, rows: Iterable[tuple[str, bytes]], dim: int, limit: int | None, said: int | None
) -> WordRows:
    """Write the words to keep and their vectors while they are read.

    Parameters
    ----------
    rows
        Each word, and its ``dim`` values as bytes of little-endian float32.
    said
        Number of words in the file's header, if it has one.
    """
    kept = KeptWords(limit)
    with (folder / "words.txt").open("wb") as words, (folder / "vectors.npy").open("wb") as out:
        write_header(out, 0, dim)
        for entry, values in rows:
            if (word := kept.take(entry)) is not None:
                out.write(values)
                words.write(one_line(word))
            if kept.full:
                break
        kept.check(said)
        write_header(out, kept.written, dim)
    return WordRows(kept.note)


def write_rows(
    folder: Path, words: Sequence[str], vectors: Any, limit: int | None, rows: Sequence[int] | None = None
) -> str:
    """Write the words to keep and their vectors, and return a note about the choice.

    Parameters
    ----------
    vectors
        (n, d): an array, a memory map or an HDF5 dataset. It is read in blocks.
    rows
        Row of each word; by default 0, 1, ...
    """
    if rows is None and len(words) != len(vectors):
        raise ValueError(f"{len(words)} words for {len(vectors)} vectors")
    kept, chosen = KeptWords(limit), []
    with (folder / "words.txt").open("wb") as out:
        for row, entry in zip(range(len(words)) if rows is None else rows, words, strict=True):
            if (word := kept.take(entry)) is not None:
                out.write(one_line(word))
                chosen.append(row)
            if kept.full:
                break
    kept.check()
    place = np.array(chosen, dtype=np.intp)
    with (folder / "vectors.npy").open("wb") as file:
        write_header(file, len(place), vectors.shape[1])
        for start in range(0, len(place), _BLOCK):
            part = place[start : start + _BLOCK]
            first = part.min()
            # A slice first: HDF5 reads that in one go, and a memory map does not read it at all.
            file.write(np.ascontiguousarray(vectors[first : part.max() + 1][part - first], dtype="<f4").data)
    return kept.note


def write_header(out: IO[bytes], rows: int, dim: int) -> None:
    """Write the header of ``vectors.npy``, again if the number of rows is known only at the end."""
    # numpy pads its header, so that it can be written again in place.
    out.seek(0)
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)})


def one_line(word: str) -> bytes:
    """Return a word as a line of ``words.txt``: the number of the line is the row."""
    return word.replace("\n", " ").encode("utf-8", errors="replace") + b"\n"
