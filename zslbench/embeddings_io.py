"""Tables of named vectors in files that gensim reads, and the export of class embeddings with their card."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.dataset import Dataset
from zslbench.embeddings import ClassEmbeddings
from zslbench.errors import ZslbenchError, suggest
from zslbench.paths import UNFINISHED
from zslbench.registry import get_dataset
from zslbench.semantics import known_texts, open_semantics, text_vectors
from zslbench.semantics_read import DAMAGED, WORD_READERS, sniff
from zslbench.videos import FloatArray

if TYPE_CHECKING:
    from zslbench.models import SavedModel

WRITERS = {".kv": "text", ".txt": "text", ".bin": "binary", ".npz": "npz"}
_SAME = 1e-5  # greatest difference of a class vector that was stored and the same one opened again


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


def write_table(path: Path, names: Sequence[str], vectors: NDArray[Any], **more: NDArray[Any]) -> None:
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


def class_words(dataset: Dataset) -> list[str]:
    """Return the words of a dataset's class names and the nouns of its analogy lists, sorted."""
    nouns = {n for groups in dataset.analogies.values() for verb, group in groups.items() for n in (verb, *group)}
    words = {word for phrase in dataset.phrases["plain"].values() for word in phrase.split()}
    return sorted(words | nouns)


def placed_words(spec: str, dataset: Dataset, model: SavedModel | None = None) -> tuple[VectorTable, list[str]]:
    """Return the words of a dataset where class embeddings lie, and those that the class vectors' source lacks.

    Parameters
    ----------
    spec, dataset
        As :func:`zslbench.semantics.text_vectors` takes them.
    model
        Whose embeddings; without one the words lie among the class vectors themselves.

    Raises
    ------
    ZslbenchError
        The source no longer gives the class vectors that the model was trained with.
    """
    if model is not None:
        _check_same_vectors(spec, model)
    words = class_words(dataset)
    known = known_texts(spec, dataset, words)
    vectors: NDArray[Any] = text_vectors(spec, dataset, known)
    if model is not None and known:
        vectors = np.asarray(model.method.place(vectors), dtype=np.float32)
    return VectorTable(tuple(known), vectors), [word for word in words if word not in set(known)]


def _check_same_vectors(spec: str, model: SavedModel) -> None:
    dataset = get_dataset(model.card.cell.dataset)
    own = [i for i, name in enumerate(model.classes.names) if name in dataset.label_of]
    now = open_semantics(spec, dataset, [model.classes.names[i] for i in own]).vectors
    then = model.classes.vectors[own]
    if now.shape != then.shape or np.abs(now - then).max(initial=0) > _SAME:
        raise ZslbenchError(
            f"{spec} has other class vectors than when {model.card.title} was trained; import those again, or train it "
            f"again."
        )


def check_free(paths: Sequence[Path], *, replace: bool) -> None:
    """Refuse files that exist, unless they may be replaced.

    Raises
    ------
    ZslbenchError
        One exists and ``replace`` is false.
    """
    if (taken := [path for path in paths if path.exists()]) and not replace:
        raise ZslbenchError(f"{taken[0]} already exists; add --overwrite or choose another name.")


@contextlib.contextmanager
def new_files(folder: Path, names: Sequence[str], *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder in ``folder`` and move the files ``names`` from it into place, all or none.

    Raises
    ------
    ZslbenchError
        One exists and ``replace`` is false, or the place cannot be written.
    """
    check_free([folder / name for name in names], replace=replace)
    work = folder / f"{UNFINISHED}{uuid.uuid4().hex[:8]}"
    try:
        (work / "old").mkdir(parents=True)
        yield work
        _move(work, folder, names)
    except OSError as error:
        raise ZslbenchError(f"cannot write into {folder} ({error.strerror or error}); choose another place.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _move(work: Path, folder: Path, names: Sequence[str]) -> None:
    """Move files into place; where one cannot be, those moved before it go back and the old ones return."""
    done: list[str] = []
    try:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (folder / name).rename(work / "old" / name)
            done.append(name)
            (work / name).rename(folder / name)
    except BaseException:
        for name in done:
            (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (work / "old" / name).rename(folder / name)
        raise


def export(
    out: Path, classes: ClassEmbeddings, words: VectorTable | None, videos: VectorTable | None,
    card: Mapping[str, Any], *, replace: bool = False,
) -> list[Path]:  # fmt: skip
    """Write class embeddings, words and videos in one space, and the card; all files or none.

    Parameters
    ----------
    out
        File of the class embeddings, see :func:`write_table`; the others are named after it.
    classes
        What is written to ``out``.
    words, videos
        Written to ``STEM.words.*`` and ``STEM.videos.*``; left out where ``None`` or empty.
    card
        See :func:`zslbench.embeddings_card.make_card`; written to ``STEM.json`` and ``STEM.md``.
    replace
        Whether existing files give way.

    Returns
    -------
    list of Path
        What was written.
    """
    from zslbench.embeddings_card import as_json, as_markdown, with_files

    writer_of(out)
    tables = {out.name: VectorTable(classes.names, classes.vectors)}
    tables |= {words_path(out).name: words} if words is not None and words.names else {}
    tables |= {f"{out.stem}.videos{out.suffix}": videos} if videos is not None and videos.names else {}
    names = [*tables, f"{out.stem}.json", f"{out.stem}.md"]
    with new_files(out.parent, names, replace=replace) as work:
        for name, table in tables.items():
            write_table(work / name, table.names, table.vectors, **(_facts(classes) if name == out.name else {}))
        whole = with_files(card, work, list(tables))
        (work / f"{out.stem}.json").write_text(as_json(whole), encoding="utf-8")
        (work / f"{out.stem}.md").write_text(as_markdown(whole), encoding="utf-8")
    return [out.parent / name for name in names]


def _facts(classes: ClassEmbeddings) -> dict[str, NDArray[Any]]:
    return {"videos": classes.counts} | ({} if classes.seen is None else {"seen": classes.seen})
