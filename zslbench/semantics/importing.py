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
from zslbench.datasets.xu_release import is_labels, read_labels
from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.files import check_name, new_directory, reading, stamp
from zslbench.semantics._class_arrays import read_arrays
from zslbench.semantics._class_tables import ClassTable, check_numbering, has_names, read_npz, read_rows
from zslbench.semantics._parquet_words import is_parquet_words
from zslbench.semantics._released import read_released
from zslbench.semantics._spacy_vectors import is_spacy
from zslbench.semantics.class_tokens import TokenTable, write_tokens
from zslbench.semantics.formats import WORD_READERS, Format, sniff
from zslbench.semantics.store import SemanticsManifest, read_semantics_manifest, semantics_root

_BLOCK = 1 << 14  # word vectors to check at a time
_NOT_FINITE = "NaN or infinite values, or ones above 3.4e38, the largest of float32"


@np.errstate(over="ignore")  # what is too large for float32 becomes infinite, and is refused in a sentence
def import_semantics(
    name: str,
    path: Path,
    *,
    dataset: str | None = None,
    limit: int | None = None,
    file_format: Format = "auto",
    key: str | None = None,
    class_list: Path | None = None,
) -> SemanticsManifest:
    """Import a file as the source ``name`` and return its manifest.

    Parameters
    ----------
    name
        The name of the new source. A later import can add another dataset to a source of finished class vectors.
    path
        word2vec ``.bin`` or ``.txt``, GloVe text, fastText ``.vec`` or ``.bin``, each gzipped or not, ConceptNet's text
        or HDF5, or the folder of a spaCy model. Or a folder of an ``.npy`` and a ``.parquet`` of its words. Or an
        ``.npz`` with ``names`` and ``vectors``, the ``Label.mat`` of Xu's IJCV 2017 release, or an ``att_splits.mat``
        of the GZSL literature. Or text with one class per line, its name and its values: ``.csv`` or ``.tsv`` with a
        header, or ``.txt`` with spaces. Or ``.npy``, ``.json``, HDF5 or torch with one vector per class.
    dataset
        The dataset of the classes, if the file has finished class vectors.
    limit
        Number of the first (most frequent) words to keep; all by default.
    file_format
        The format of the file, if its first bytes are misleading.
    key
        Name of the array of a file with several; ``att`` by default in an ``att_splits.mat``.
    class_list
        File of the classes in the order of the vectors, or ``canonical``, if the file does not name them.

    Raises
    ------
    ZslbenchError
        The name is taken, or the file cannot be read as any of these formats.
    """
    check_new_name(name)
    if not (path.is_file() or is_spacy(path) or is_parquet_words(path)):
        raise ZslbenchError(
            f"{path} is a folder without spaCy's 'vectors' and 'key2row', and without one .npy beside one .parquet of "
            f"words; give a file of vectors, or a model of sentence-transformers with --encoder FOLDER."
            if path.is_dir()
            else f"there is no file {path}; check the path."
        )
    if limit is not None and limit < 1:
        raise ZslbenchError(f"--limit {limit} keeps no word; give a positive number.")
    chosen = sniff(path) if file_format == "auto" else file_format
    if chosen == "text" and dataset:
        chosen = "csv"  # one class per line, with spaces between its values
    if key is not None and chosen == "csv":
        raise ZslbenchError(f"--key names a matrix of a MATLAB file or of other arrays, and {path.name} is text.")
    if chosen in WORD_READERS and not (chosen in ("hdf5", "pickle") and dataset):
        if dataset or class_list or key:
            raise ZslbenchError(
                "--dataset, --key and --class-list are for finished class vectors; leave them out for word vectors."
            )
        return _import_words(name, path, limit, chosen)
    if limit is not None:
        raise ZslbenchError(f"--limit is for word vectors, but {path.name} has finished class vectors; leave it out.")
    if chosen != "mat" or class_list:
        if dataset is None:
            raise _without_dataset(path)
        found = get_dataset(dataset)
        table, note = _read_classes(path, found, chosen, class_list, key)
        return import_classes(name, path, {found.name: table}, note)
    if released := read_released(path, key):
        if dataset is None:
            raise _without_dataset(path)
        table, note = released
        return import_classes(name, path, {get_dataset(dataset).name: table}, note)
    if not is_labels(path):
        if dataset is None:
            raise _without_dataset(path)
        found = get_dataset(dataset)
        table, note = read_arrays(path, found, "mat", key=key)
        return import_classes(name, path, {found.name: table}, note)
    tables, left_out = read_labels(path)
    if dataset:
        tables = {d: table for d, table in tables.items() if d == get_dataset(dataset).name}
    if not tables:
        raise ZslbenchError(f"{path.name} has no class vectors of {dataset or 'a known dataset'}; check the file.")
    return import_classes(name, path, tables, f"left out {', '.join(left_out)}" if left_out else "")


def _without_dataset(path: Path) -> ZslbenchError:
    return ZslbenchError(
        f"{path.name} contains class vectors; name their dataset with --dataset, such as --dataset ucf101, or save "
        f"word vectors as text, with a word and its values per line and spaces between them."
    )


def _read_classes(
    path: Path, dataset: Dataset, file_format: Format, class_list: Path | None, key: str | None
) -> tuple[ClassTable, str]:
    if class_list is None and file_format == "csv":
        return read_rows(path, dataset), ""
    if class_list is None and key is None and file_format == "npz" and has_names(path):
        return read_npz(path), ""
    return read_arrays(path, dataset, file_format, class_list, key)


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
            made = WORD_READERS[file_format](path, folder, limit)
        n_words, dim = _check_words(folder, path)
        note = "; ".join(filter(None, [made.note, f"the first {n_words} words" if n_words == limit else ""]))
        files = ["vectors.npy", "words.txt", *(["subwords.npy"] if made.subwords else [])]
        return _write_manifest(
            folder, name, "words", path, dim, files, n_words=n_words, note=note, subwords=made.subwords
        )


def import_classes(
    name: str,
    path: Path,
    tables: Mapping[str, ClassTable],
    note: str = "",
    texts: ClassTable | None = None,
    prompt: str = "",
    weights: str = "",
    tokens: TokenTable | None = None,
    model: str = "",
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
    prompt
        ``names=...,template=...`` of the prompts that the vectors are of.
    weights
        Digest of the model whose text tower made them, if one did.
    tokens
        The tokens of class names and texts, if they are kept; there is one table then.
    model
        The folder of that model.

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
    if held is not None and held.weights != weights:
        raise ZslbenchError(
            f"{name} has vectors of {_model(held.weights)}, and these are of {_model(weights)}; choose another name."
        )
    with new_directory(final, replace=held is not None) as folder:
        for file in held.files if held else ():
            shutil.copy2(final / file, folder / file)
        for dataset, (names, vectors) in checked.items():
            arrays: dict[str, Any] = {"names": np.array(names), "vectors": vectors}
            arrays |= {"texts": np.array(texts[0]), "text_vectors": texts[1]} if texts else {}
            np.savez(folder / f"{dataset}.npz", **arrays)
            if tokens is not None:
                write_tokens(folder, dataset, tokens)
        counts = (held.datasets if held else {}) | {dataset: len(names) for dataset, (names, _) in checked.items()}
        prompts = (held.prompts if held else {}) | {dataset: prompt for dataset in checked if prompt}
        files = sorted(path.name for path in folder.iterdir())
        return _write_manifest(
            folder,
            name,
            "classes",
            path,
            dims.pop(),
            files,
            datasets=counts,
            prompts=prompts,
            note=note,
            weights=weights,
            model=model,
        )


def _model(weights: str) -> str:
    return f"the model with the digest {weights[:12]}" if weights else "no model that is known"


def _checked(dataset: Dataset, table: ClassTable, path: Path) -> tuple[list[str], NDArray[Any]]:
    if unknown := next((name for name in table[0] if dataset.find_class(name) is None), None):
        raise ZslbenchError(
            f"{path.name} has a vector of {unknown!r}, which is no class of {dataset.name}; leave it out, or correct "
            f"its name.{dataset.class_hint(unknown)}"
        )
    names = [dataset.resolve_class(name) for name in table[0]]
    vectors = table[1]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ZslbenchError(f"{path.name} contains the {dataset.name} class {twice[0]} twice; keep one vector of it.")
    if vectors.ndim != 2 or len(vectors) != len(names) or vectors.dtype.kind != "f":
        raise ZslbenchError(
            f"{path.name} has {len(names)} names and vectors of shape {vectors.shape} {vectors.dtype} for "
            f"{dataset.name}; give one row of floating-point values per name."
        )
    check_numbering(path, vectors, dataset)
    with np.errstate(over="ignore"):  # of double precision, as they are used
        finite = np.isfinite(vectors.astype(np.float32)).min(axis=1).tolist()
    if bad := [name for name, row in zip(names, finite, strict=True) if not row]:
        raise ZslbenchError(
            f"{path.name}: the vector of the {dataset.name} class {bad[0]!r} has {_NOT_FINITE}"
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
                f"{path.name}: the vector of {word!r} has {_NOT_FINITE}; remove that line, or load the file "
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
