"""Imported class-vector sources on disk: a manifest, and memory-mapped word vectors or class vectors per dataset.

A source is a folder ``data_root()/semantics/<name>/`` with a file ``manifest.json``. Word vectors are in
``vectors.npy``, and their words in ``words.txt``, one per line, in the order of the rows. Class vectors are in one
``<dataset>.npz`` per dataset, with ``names`` and ``vectors``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.files import damaged, data_root, read_json, reading, stamped
from zslbench.semantics._word_rows import Subwords


class SemanticsManifest(BaseModel):
    r"""The content and the origin of an imported source.

    Attributes
    ----------
    kind
        ``words``: one vector per word, pooled into class vectors. ``classes``: one vector per class and dataset.
    datasets
        Dataset -> number of classes, if the source is of kind ``classes``.
    prompts
        Dataset -> ``names=...,template=...`` of the prompts that were encoded, if it is known.
    weights
        Digest of the model whose text tower made the vectors; empty if it is not known.
    model
        The folder of that model; empty if it is not known.
    subwords
        How unknown words are divided into parts, if ``subwords.npy`` has the vectors of these.
    files
        File name -> SHA-256.

    Examples
    --------
    >>> from zslbench.semantics.importing import import_semantics
    >>> _ = Path("glove.txt").write_text("run 0.1 0.3\nwalk 0.2 0.3\n")
    >>> manifest = import_semantics("glove", Path("glove.txt"))
    >>> manifest.kind, manifest.n_words, manifest.dim
    ('words', 2, 2)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    name: str
    kind: Literal["words", "classes"]
    source_file: str
    dim: int
    n_words: int = 0
    datasets: dict[str, int] = {}
    prompts: dict[str, str] = {}
    note: str = ""
    weights: str = ""
    model: str = ""
    subwords: Subwords | None = None
    files: dict[str, str]
    created: str = ""


def semantics_root() -> Path:
    """Return the folder that contains one folder per source."""
    return data_root() / "semantics"


def list_semantics() -> list[SemanticsManifest]:
    """Return the manifests of the imported sources, sorted by name."""
    # Names that begin with a dot are imports that have not finished.
    return [read_semantics_manifest(path.parent.name) for path in sorted(semantics_root().glob("[!.]*/manifest.json"))]


def read_semantics_manifest(name: str, shipped: Iterable[str] = ()) -> SemanticsManifest:
    """Return the manifest of an imported source.

    Parameters
    ----------
    shipped
        Other sources that the user may have meant.

    Raises
    ------
    NotFoundError
        Nothing of that name has been imported.
    ZslbenchError
        The manifest cannot be read.
    """
    path = semantics_root() / name / "manifest.json"
    if not path.is_file():
        known = [*shipped, *(found.parent.name for found in semantics_root().glob("[!.]*/manifest.json"))]
        hint = suggest(name, known) if known else ""
        raise NotFoundError(
            f"no class vectors {name!r} have been imported.{hint} "
            f"Import them with 'zslbench semantics import {name} FILE'."
        )
    with reading(path, f"remove {path.parent} and import it again"):
        return SemanticsManifest.model_validate(read_json(path))


def remove_semantics(name: str) -> Path:
    """Delete an imported source and return the folder that it was in.

    Raises
    ------
    NotFoundError
        Nothing of that name has been imported.
    """
    if not (folder := semantics_root() / name).is_dir() or not re.match(r"[a-z0-9]", name):
        read_semantics_manifest(name)  # raises, and suggests names; "" or ".." must never reach rmtree
    shutil.rmtree(folder)
    return folder


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Compare the files with their checksums, unless their sizes and times are unchanged since the last comparison.

    Raises
    ------
    ZslbenchError
        A file is missing or has changed.
    """
    if not stamped(folder, files) and (name := damaged(folder, files)):
        raise ZslbenchError(
            f"{folder / name} is missing or differs from its checksum; "
            f"run 'zslbench semantics remove {folder.name} --yes' and import it again."
        )


def read_class_table(manifest: SemanticsManifest, dataset: str) -> tuple[list[str], NDArray[Any]]:
    """Return the names and the vectors, (n, d), of a source of kind ``classes`` for one dataset.

    Raises
    ------
    NotFoundError
        It has none for this dataset.
    ZslbenchError
        A file has changed since the import.
    """
    if dataset not in manifest.datasets:
        file, same = ("", " and the same --model or --encoder") if manifest.weights else (" FILE.npz", "")
        raise NotFoundError(
            f"{manifest.name} has class vectors of {', '.join(sorted(manifest.datasets))}, not of {dataset}; "
            f"add them with 'zslbench semantics import {manifest.name}{file} --dataset {dataset}'{same}."
        )
    folder = semantics_root() / manifest.name
    check_files(folder, manifest.files)
    with np.load(folder / f"{dataset}.npz", allow_pickle=False) as arrays:
        return arrays["names"].tolist(), arrays["vectors"]


def read_text_table(manifest: SemanticsManifest, dataset: str) -> tuple[list[str], NDArray[Any]]:
    """Return texts and their vectors, (k, d), that were imported with a dataset's class vectors; k can be 0.

    Raises
    ------
    NotFoundError, ZslbenchError
        As in :func:`read_class_table`.
    """
    _, vectors = read_class_table(manifest, dataset)
    with np.load(semantics_root() / manifest.name / f"{dataset}.npz", allow_pickle=False) as arrays:
        return (arrays["texts"].tolist(), arrays["text_vectors"]) if "texts" in arrays else ([], vectors[:0])
