"""Class vectors: one semantic vector per class, from a named source, with guards against silent errors.

A source is shipped with a dataset (``minilm``) or imported. An imported source holds word vectors, which are pooled
over the words of a class name, or finished class vectors. A shipped one can also embed prompts, by its encoder.
``NAME:key=value,...`` names a source and its parameters.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.own_words import words_command, words_remedy
from zslbench.digests import digest
from zslbench.errors import CoverageError, OutOfVocabularyError, ZslbenchError, some
from zslbench.semantics.guards import check_distinct, check_values
from zslbench.semantics.pooled import pooled_classes
from zslbench.semantics.prompts import table_prompts
from zslbench.semantics.spec import (
    DEFAULT_EDITS,
    PromptParams,
    SubwordParams,
    TableParams,
    WordParams,
    parse_spec,
    source_parameters,
)
from zslbench.semantics.store import SemanticsManifest, read_class_table, read_semantics_manifest, read_text_table
from zslbench.semantics.words import WordVectors, fingerprint, made_words, pool_words, unit


@dataclass(frozen=True)
class ClassVectors:
    """One vector per class.

    Attributes
    ----------
    source
        Name of the source.
    names
        Class names, in the order of the rows.
    vectors
        (n_classes, d) float32.
    parameters
        Parameters of the source: ``normalise`` and, for word vectors, ``pool``, ``unit_words`` and ``edits``; for
        prompts, ``names`` and ``template``.
    fingerprints
        One hash per class of the input of its vector: the words and the stored values.
    pooled
        Those of the names that the source itself lacks, so that their vectors are means of their words' vectors.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> vectors = open_semantics("minilm", get_dataset("hmdb51"))
    >>> vectors.take(["run", "walk"]).vectors.shape
    (2, 384)
    >>> vectors.describe()
    'minilm: 384-d, unit length'
    """

    source: str
    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    parameters: Mapping[str, str | bool]
    fingerprints: tuple[str, ...]
    pooled: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def digest(self) -> str:
        """Digest of source name, parameters and content; it does not depend on the order of the classes.

        It hashes the stored values, not the pooled ones, whose last bits depend on the machine.
        """
        content = dict(zip(self.names, self.fingerprints, strict=True))
        return digest({"source": self.source, "parameters": dict(self.parameters), "classes": content})

    def describe(self) -> str:
        """Return one line: ``word2vec: 300-d, mean of unit word vectors, unit length, edits e2e-v1``."""
        parts = [f"{self.vectors.shape[1]}-d"]
        if "pool" in self.parameters:
            parts.append(f"{self.parameters['pool']} of {'unit ' if self.parameters['unit_words'] else ''}word vectors")
        parts.append("unit length" if self.parameters["normalise"] else "not normalised")
        if self.parameters.get("subwords"):
            parts.append("unknown words of parts")
        if "edits" in self.parameters:
            parts.append(f"edits {self.parameters['edits']}")
        if "names" in self.parameters:
            parts.append(f"names {self.parameters['names']}, template {self.parameters['template']}")
        return f"{self.source}: {', '.join([*parts, *filter(None, [self.pooled_text])])}"

    @property
    def pooled_text(self) -> str:
        """``23 of 27 classes pooled from words``, or empty if the source has a vector of each."""
        return f"{len(self.pooled)} of {len(self)} classes pooled from words" if self.pooled else ""

    def take(self, names: Sequence[str]) -> ClassVectors:
        """Return the vectors of ``names``, in that order.

        Raises
        ------
        CoverageError
            A name is not among :attr:`names`.
        """
        place = {name: i for i, name in enumerate(self.names)}
        if missing := [name for name in names if name not in place]:
            raise CoverageError(f"{self.source} was opened without {some(missing)}; open it for these classes, too.")
        rows = [place[name] for name in names]
        prints = tuple(self.fingerprints[row] for row in rows)
        pooled = tuple(name for name in names if name in self.pooled)
        return ClassVectors(self.source, tuple(names), self.vectors[rows], self.parameters, prints, pooled)


def open_semantics(spec: str, dataset: Dataset, classes: Sequence[str] | None = None) -> ClassVectors:
    """Return the class vectors of the source ``spec``.

    Parameters
    ----------
    spec
        ``NAME`` or ``NAME:key=value,key=value``, such as ``word2vec:pool=sum,edits=plain,normalise=false``. Word
        vectors have the parameters of :class:`WordParams`, finished class vectors those of :class:`TableParams`.
        Shipped ones whose encoder is known also have those of :class:`PromptParams`.
    dataset
        The dataset of the classes.
    classes
        The classes that are needed; all by default.

    Raises
    ------
    NotFoundError
        There is no such source, or it contains nothing for this dataset.
    OutOfVocabularyError
        A class name has a word without a vector.
    CoverageError
        A class has no vector in a source of class vectors.
    ZslbenchError
        A parameter is wrong, a vector is zero or not finite, or two classes have equal vectors.
    """
    names = dataset.classes if classes is None else tuple(dataset.resolve_class(name) for name in classes)
    used = _Used.of(spec, dataset)
    pooled_names: tuple[str, ...] = ()
    if isinstance(used.params, WordParams):
        phrases = {name: dataset.phrase(name, used.params.edits) for name in names}
        pooled, prints = pool_words(WordVectors(used.manifest), phrases, used.params, dataset)
    elif isinstance(used.params, PromptParams):
        rows, print_of = table_prompts(dataset.vectors[used.name], dataset, used.params.names, used.params.template)
        pooled, prints = np.stack([rows[name] for name in names]), tuple(print_of[name] for name in names)
    else:
        pooled, prints = _take_rows(used, dataset, names)
        made = pooled_classes(used.name, dataset)
        pooled_names = tuple(name for name in names if name in made)
    check_values(used.name, names, pooled, dataset.name)
    check_distinct(used.name, names, pooled, dataset)
    vectors = np.ascontiguousarray(unit(pooled) if used.params.normalise else pooled, dtype=np.float32)
    return ClassVectors(used.name, tuple(names), vectors, used.params.model_dump(), prints, pooled_names)


def text_vectors(spec: str, dataset: Dataset, phrases: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of words and phrases, in the space of the class vectors of the same source and parameters.

    A phrase that stands for a class has the vector of that class, and a text that the source contains has its own.
    Other phrases are converted to lower case and split at spaces.

    Parameters
    ----------
    spec, dataset
        As in :func:`open_semantics`; ``edits``, ``names`` and ``template`` have no effect here.
    phrases
        (k,) words and phrases, such as ``violin`` or ``playing piano``.

    Returns
    -------
    numpy.ndarray
        (k, d) float32.

    Raises
    ------
    OutOfVocabularyError
        A word is unknown, or a source of finished vectors does not have the phrase and its encoder is not installed.
    ZslbenchError
        As in :func:`open_semantics`, or a phrase is empty.
    """
    used = _Used.of(spec, dataset)
    as_written = {phrase for table in dataset.phrases.values() for phrase in table.values()} | _held(used, dataset)
    # Known texts keep their case: definitions and some edits have capitals that lower case would not find.
    texts = [text if text in as_written else " ".join(text.lower().split()) for text in phrases]
    if "" in texts:
        raise ZslbenchError("an empty phrase has no vector; give at least one word.")
    distinct = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    if not texts:
        dim = used.imported.dim if used.imported else _table(used, dataset)[1].shape[1]
        return np.zeros((0, dim), dtype=np.float32)
    if isinstance(used.params, WordParams):
        found, _ = pool_words(WordVectors(used.manifest), {text: text for text in distinct}, used.params)
    else:
        found = _take_texts(used, dataset, list(distinct))
    check_values(used.name, list(distinct), found, "the text")
    vectors = unit(found) if used.params.normalise else found
    return vectors[[distinct[text] for text in texts]].astype(np.float32)


def known_texts(spec: str, dataset: Dataset, phrases: Sequence[str]) -> list[str]:
    """Return those of the lower-case ``phrases`` that :func:`text_vectors` knows without encoding any.

    Raises
    ------
    NotFoundError
        There is no such source, or it contains nothing for this dataset.
    """
    used = _Used.of(spec, dataset)
    if isinstance(used.params, WordParams):
        known = used.known_words(word for phrase in phrases for word in phrase.split())
        return [phrase for phrase in phrases if phrase.split() and known.issuperset(phrase.split())]
    place, _ = _text_table(used, dataset)
    return [phrase for phrase in phrases if phrase in place]


def _text_table(used: _Used, dataset: Dataset) -> tuple[dict[str, int], NDArray[Any]]:
    """Return phrase -> row, and the rows, of a source of finished vectors.

    If the keys are class names (imported tables, tables of descriptions), use their plain phrases.
    """
    keys, table, key_of = _table(used, dataset)
    place = {dataset.phrase(key) if key_of is str else key: i for i, key in enumerate(keys)}
    if used.imported is not None:
        texts, vectors = read_text_table(used.imported, dataset.name)
        place = {text: len(table) + i for i, text in enumerate(texts)} | place
        table = np.concatenate([table, vectors])
    return place, table


def words_of_parts(spec: str, dataset: Dataset) -> list[str]:
    """Return the words of a dataset's class names that have no vector of their own, but one made of parts.

    Raises
    ------
    NotFoundError
        There is no such source.
    """
    used = _Used.of(spec, dataset)
    if not isinstance(used.params, SubwordParams) or not used.params.subwords:
        return []
    words = {w: None for name in dataset.classes for w in dataset.phrase(name, used.params.edits).split()}
    found = WordVectors(used.manifest).find(words)
    return [word for word in words if word not in found]


def _held(used: _Used, dataset: Dataset) -> set[str]:
    """Return the texts that a source of finished vectors contains, in their own case: definitions have capitals."""
    if isinstance(used.params, WordParams):
        return set()
    held = set(_text_table(used, dataset)[0])
    if used.imported is not None:
        return held
    from zslbench.semantics.text_vectors import shipped_rows  # which reads these tables' files

    return held | shipped_rows(dataset.vectors[used.name]).keys()


def _take_texts(used: _Used, dataset: Dataset, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the rows of phrases in a source of finished vectors, (k, d); encode missing ones if possible."""
    place, table = _text_table(used, dataset)
    absent = [text for text in texts if text not in place]
    if absent and used.imported is not None:
        near = ", ".join(dict.fromkeys(one for text in absent for one in difflib.get_close_matches(text, place)))
        raise OutOfVocabularyError(
            f"{used.name} contains finished vectors of {dataset.name} classes, but none of {some(absent)}"
            f"{f' (known: {near})' if near else ''}; import word vectors for other words."
        )
    if absent:
        place |= {text: len(table) + i for i, text in enumerate(absent)}
        from zslbench.semantics.text_vectors import stored_vectors  # which reads these tables' files

        table = np.concatenate([table, stored_vectors(dataset.vectors[used.name], absent)])
    return table[[place[text] for text in texts]].astype(np.float64)


def missing_words(spec: str, dataset: Dataset) -> dict[str, list[str]]:
    """Return class -> unknown words, for the classes without a vector; the list is empty if the class has no row.

    Raises
    ------
    NotFoundError
        There is no such source, or it contains nothing for this dataset.
    """
    used = _Used.of(spec, dataset)
    if isinstance(used.params, WordParams):
        words = {name: dataset.phrase(name, used.params.edits).split() for name in dataset.classes}
        known = used.known_words(word for parts in words.values() for word in parts)
        return {name: gone for name, parts in words.items() if (gone := [w for w in parts if w not in known])}
    if isinstance(used.params, PromptParams):
        return {}
    keys, _, key_of = _table(used, dataset)
    return {name: [] for name in dataset.classes if key_of(name) not in set(keys)}


@dataclass(frozen=True)
class _Used:
    """A source and its parameters; ``imported`` is ``None`` if it is shipped with the dataset."""

    name: str
    params: TableParams
    imported: SemanticsManifest | None

    @property
    def manifest(self) -> SemanticsManifest:
        assert self.imported is not None  # noqa: S101 - only imported sources have words
        return self.imported

    def known_words(self, words: Iterable[str]) -> set[str]:
        """Return the words that have a vector, also one made of parts."""
        assert isinstance(self.params, WordParams)  # noqa: S101 - only sources of words are asked
        source, asked = WordVectors(self.manifest), set(words)
        found = set(source.find(asked))
        return found | made_words(source, asked - found, self.params).keys()

    @classmethod
    def of(cls, spec: str, dataset: Dataset) -> _Used:
        name, given = parse_spec(spec)
        imported = None if name in dataset.vectors else read_semantics_manifest(name, dataset.vectors)
        if imported is None and given.keys() & {"names", "template"} and has_phrases(dataset.vectors[name]):
            params = source_parameters(name, PromptParams, given)
            usual = params == PromptParams(normalise=params.normalise)  # what the table itself holds
            return cls(name, TableParams(normalise=params.normalise) if usual else params, None)
        if imported is None or imported.kind == "classes":
            return cls(name, source_parameters(name, TableParams, given), imported)
        default = DEFAULT_EDITS if DEFAULT_EDITS in dataset.phrases else "plain"
        model = SubwordParams if imported.subwords else WordParams
        return cls(name, source_parameters(name, model, {"edits": default} | given), imported)


def has_phrases(table: Path) -> bool:
    """Return whether a shipped table has vectors of class names, and not of descriptions."""
    with np.load(table, allow_pickle=False) as arrays:
        return "phrases" in arrays


def _table(used: _Used, dataset: Dataset) -> tuple[list[str], NDArray[Any], Callable[[str], str]]:
    """Return the keys and rows of a source of finished vectors, and a function from class name to key."""
    if used.imported is not None:
        return *read_class_table(used.imported, dataset.name), str
    with np.load(dataset.vectors[used.name], allow_pickle=False) as arrays:
        if "phrases" in arrays:
            made = {dataset.phrase(name): pooled.vector for name, pooled in pooled_classes(used.name, dataset).items()}
            rows = np.concatenate([arrays["vectors"], *(vector[None] for vector in made.values())])
            return [*arrays["phrases"].tolist(), *made], rows, dataset.phrase
        own = arrays["datasets"] == dataset.name  # descriptions: datasets describe the same phrase differently
        return arrays["names"][own].tolist(), arrays["vectors"][own], str


def _take_rows(used: _Used, dataset: Dataset, names: Sequence[str]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    keys, table, key_of = _table(used, dataset)
    place = {key: i for i, key in enumerate(keys)}
    if missing := [name for name in names if key_of(name) not in place]:
        raise CoverageError(
            f"{used.name} has no vector of {len(missing)} of {len(names)} {dataset.name} classes ({some(missing)}); "
            f"{_remedy(used, dataset)}."
        )
    rows = table[[place[key_of(name)] for name in names]]
    return rows.astype(np.float64), tuple(fingerprint(row) for row in rows)


def _remedy(used: _Used, dataset: Dataset) -> str:
    """Return what to do about classes without a row."""
    if used.imported is None and words_remedy(dataset, {}):
        return f"'{words_command(dataset.name)}' shows why and what to do"
    return "import vectors for all of them, or use another source"
