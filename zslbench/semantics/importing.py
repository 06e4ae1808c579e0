"""Import of class vectors: word vectors, ``.npz`` tables and Xu's ``Label.mat``."""

from __future__ import annotations

import datetime
import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import get_dataset, working_datasets
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.xu_release import read_labels
from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.files import check_archive, check_name, new_directory, read_csv, reading, stamp
from zslbench.semantics.formats import WORD_READERS, Format, sniff
from zslbench.semantics.store import SemanticsManifest, read_semantics_manifest, semantics_root

_Table = tuple[list[str], NDArray[Any]]  # class names, (n, d) vectors
_BLOCK = 1 << 14  # word vectors to check at a time


def import_semantics(
    name: str, path: Path, *, dataset: str | None = None, limit: int | None = None, file_format: Format = "auto"
) -> SemanticsManifest:
    """Import a file as the source ``name`` and return its manifest.

    Parameters
    ----------
    name
        The name of the new source. A later import can add another dataset to a source of finished class vectors.
    path
        word2vec ``.bin`` or ``.txt``, GloVe text, fastText ``.vec`` or ``.bin``, each gzipped or not. Or an ``.npz``
        with ``names`` and ``vectors``, or the ``Label.mat`` of Xu's IJCV 2017 release. Or a ``.csv`` with a header and
        one line per class: its name and its values.
    dataset
        The dataset of the classes in an ``.npz`` or ``.csv``.
    limit
        Number of the first (most frequent) words to keep; all by default.
    file_format
        The format of the file, if its first bytes are misleading.

    Raises
    ------
    ZslbenchError
        The name is taken, or the file cannot be read as any of these formats.
    """
    check_new_name(name)
    if not path.is_file():
        raise ZslbenchError(f"there is no file {path}; check the path.")
    if limit is not None and limit < 1:
        raise ZslbenchError(f"--limit {limit} keeps no word; give a positive number.")
    chosen = sniff(path) if file_format == "auto" else file_format
    if chosen in WORD_READERS:
        if dataset:
            raise ZslbenchError("--dataset is for finished class vectors; leave it out for word vectors.")
        return _import_words(name, path, limit, chosen)
    if limit is not None:
        raise ZslbenchError(f"--limit is for word vectors, but {path.name} has finished class vectors; leave it out.")
    if chosen in ("npz", "csv"):
        if dataset is None:
            raise ZslbenchError(
                f"{path.name} contains class vectors; name their dataset with --dataset, such as --dataset ucf101."
            )
        table = _read_npz(path) if chosen == "npz" else _read_csv(path)
        return import_classes(name, path, {get_dataset(dataset).name: table})
    tables, left_out = read_labels(path)
    if dataset:
        tables = {d: table for d, table in tables.items() if d == get_dataset(dataset).name}
    if not tables:
        raise ZslbenchError(f"{path.name} has no class vectors of {dataset or 'a known dataset'}; check the file.")
    return import_classes(name, path, tables, f"left out {', '.join(left_out)}" if left_out else "")


def check_new_name(name: str) -> None:
    """Refuse a name that no import can take.

    Raises
    ------
    ZslbenchError
        It is not a valid file name, or class vectors of that name are shipped.
    """
    check_name(name, "class vectors")
    if shipped := [dataset for dataset in working_datasets() if name in dataset.vectors]:
        raise ZslbenchError(f"{name} is the name of class vectors shipped with {shipped[0].name}; choose another name.")


def _import_words(name: str, path: Path, limit: int | None, file_format: Format) -> SemanticsManifest:
    with new_directory(semantics_root() / name) as folder:
        remedy = "check that the download is complete, keep fewer words with --limit, or give its format with --format"
        says = f"{path.name} cannot be read as {file_format} word vectors"
        with reading(path, remedy, says=says):
            WORD_READERS[file_format](path, folder, limit)
        n_words, dim = _check_words(folder, path)
        note = f"the first {n_words} words" if n_words == limit else ""
        files = ("vectors.npy", "words.txt")
        return _write_manifest(folder, name, "words", path, dim, files, n_words=n_words, note=note)


def _read_npz(path: Path) -> _Table:
    check_archive(path)
    remedy = "write it with numpy.savez(path, names=numpy.array(names), vectors=vectors)"
    with (
        reading(path, remedy, says=f"{path.name} is not a table of class vectors"),
        np.load(path, allow_pickle=False) as arrays,
    ):
        return [str(name) for name in arrays["names"].ravel().tolist()], np.asarray(arrays["vectors"])


def _read_csv(path: Path) -> _Table:
    """Read a header, and then one line per class: its name and its values."""
    rows = [row for _, row in read_csv(path)[1]]
    remedy = "write a header line, and then one line per class: its name and its values, the same number in each line"
    with reading(path, remedy, says=f"{path.name} is not a table of class vectors"):
        if not rows:
            raise ValueError("it has no row")
        return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=np.float32)


def import_classes(
    name: str, path: Path, tables: Mapping[str, _Table], note: str = "", texts: _Table | None = None
) -> SemanticsManifest:
    """Store finished class vectors under a name, beside those of other datasets, and return the manifest.

    Parameters
    ----------
    path
        The file that they come from, for the manifest.
    tables
        Dataset -> class names and their (n, d) vectors.
    texts
        Texts that the same encoder has encoded, and their (m, d) vectors.

    Raises
    ------
    ZslbenchError
        A table does not fit its dataset, or the name belongs to another source.
    """
    checked = {dataset: _checked(get_dataset(dataset), table, path) for dataset, table in tables.items()}
    dims = {vectors.shape[1] for _, vectors in checked.values()}
    final = semantics_root() / name
    held = read_semantics_manifest(name) if final.is_dir() else None
    if held is not None and held.kind == "classes" and dims != {held.dim}:
        raise ZslbenchError(
            f"{path.name} has {dims.pop()}-d vectors, but {name} has {held.dim}-d ones of "
            f"{', '.join(sorted(held.datasets))}; seen and unseen classes need the same dimension: choose another name."
        )
    if held is not None and (held.kind != "classes" or set(held.datasets) & set(checked)):
        holds = ", ".join(sorted(held.datasets)) if held.kind == "classes" else "words"
        raise ZslbenchError(
            f"{name} exists ({held.dim}-d, {holds}); run 'zslbench semantics remove {name} --yes' first or choose "
            f"another name."
        )
    with new_directory(final, replace=held is not None) as folder:
        for file in held.files if held else ():
            shutil.copy2(final / file, folder / file)
        for dataset, (names, vectors) in checked.items():
            arrays: dict[str, Any] = {"names": np.array(names), "vectors": vectors}
            arrays |= {"texts": np.array(texts[0]), "text_vectors": texts[1]} if texts else {}
            np.savez(folder / f"{dataset}.npz", **arrays)
        counts = (held.datasets if held else {}) | {dataset: len(names) for dataset, (names, _) in checked.items()}
        return _write_manifest(
            folder, name, "classes", path, dims.pop(), [f"{d}.npz" for d in sorted(counts)], datasets=counts, note=note
        )


def _checked(dataset: Dataset, table: _Table, path: Path) -> tuple[list[str], NDArray[Any]]:
    names = [dataset.resolve_class(name) for name in table[0]]
    vectors = table[1]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ZslbenchError(f"{path.name} contains the {dataset.name} class {twice[0]} twice; keep one vector of it.")
    if vectors.ndim != 2 or len(vectors) != len(names) or vectors.dtype.kind != "f":
        raise ZslbenchError(
            f"{path.name} has {len(names)} names and vectors of shape {vectors.shape} {vectors.dtype} for "
            f"{dataset.name}; give one row of floating-point values per name."
        )
    with np.errstate(over="ignore"):  # of double precision, as they are used
        finite = np.isfinite(vectors.astype(np.float32)).min(axis=1).tolist()
    if bad := [name for name, row in zip(names, finite, strict=True) if not row]:
        raise ZslbenchError(
            f"{path.name}: the vector of the {dataset.name} class {bad[0]!r} has NaN or infinite values"
            f"{f', and {len(bad) - 1} more have' if len(bad) > 1 else ''}; make these vectors again."
        )
    return names, vectors


def _check_words(folder: Path, path: Path) -> tuple[int, int]:
    """Return the number of words and of values of each, (n, d).

    Raises
    ------
    ZslbenchError
        A vector has no values, or NaN or infinite ones.
    """
    vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
    n, dim = vectors.shape
    for start in range(0, n, _BLOCK):
        if bad := np.flatnonzero(~np.isfinite(vectors[start : start + _BLOCK]).all(axis=1)).tolist():
            with (folder / "words.txt").open("rb") as stream:
                word = next(itertools.islice(stream, start + bad[0], None)).decode("utf-8", "replace").rstrip("\n")
            raise ZslbenchError(
                f"{path.name}: the vector of {word!r} has NaN or infinite values; remove that line, or load the file "
                f"where it came from again."
            )
    if not dim:
        raise ZslbenchError(f"{path.name}: its words have no values; give a file of word vectors.")
    return n, dim


def _write_manifest(
    folder: Path, name: str, kind: Literal["words", "classes"], path: Path, dim: int, files: Sequence[str], **more: Any
) -> SemanticsManifest:
    manifest = SemanticsManifest(
        name=name,
        kind=kind,
        source_file=path.name,
        dim=dim,
        files={file: file_sha256(folder / file) for file in files},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **more,
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    stamp(folder, files)
    return manifest
