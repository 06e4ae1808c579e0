"""Export class embeddings, with the words and videos in their space and their card, to files that gensim reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.digests import file_sha256
from zslbench.embeddings.class_embeddings import ClassEmbeddings
from zslbench.embeddings.table import VectorTable, words_path, write_vectors, writer_of
from zslbench.errors import ZslbenchError
from zslbench.files import new_files
from zslbench.semantics.class_vectors import known_texts, open_semantics, text_vectors

if TYPE_CHECKING:
    from zslbench.run.models import SavedModel

_SAME = 1e-5  # largest difference between a stored class vector and the same one opened again: pooling rounds


def class_words(dataset: Dataset) -> list[str]:
    """Return the words of a dataset's class names and the nouns of its analogy lists, sorted."""
    nouns = {n for groups in dataset.analogies.values() for verb, group in groups.items() for n in (verb, *group)}
    words = {word for phrase in dataset.phrases["plain"].values() for word in phrase.split()}
    return sorted(words | nouns)


def placed_words(spec: str, dataset: Dataset, model: SavedModel | None = None) -> tuple[VectorTable, list[str]]:
    """Return a dataset's words in the space of the class embeddings, and the words that the source does not know.

    Parameters
    ----------
    spec, dataset
        As in :func:`zslbench.semantics.class_vectors.text_vectors`.
    model
        The model of the embeddings; without a model, the words are in the space of the class vectors.

    Raises
    ------
    ZslbenchError
        The source no longer has the class vectors that the model was trained with.
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
            f"{spec} has other class vectors than when {model.card.title} was trained; import those again, or train "
            f"the model again."
        )


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
        The vectors for ``out``.
    words, videos
        Written to ``STEM.words.*`` and ``STEM.videos.*``; left out if ``None`` or empty.
    card
        See :func:`zslbench.embeddings.card.make_card`; written to ``STEM.json`` and ``STEM.md``.
    replace
        Whether to replace existing files.

    Returns
    -------
    list of Path
        The written files.
    """
    from zslbench.embeddings.card import as_markdown

    writer_of(out)
    tables = {out.name: VectorTable(classes.names, classes.vectors)}
    tables |= {words_path(out).name: words} if words is not None and words.names else {}
    tables |= {f"{out.stem}.videos{out.suffix}": videos} if videos is not None and videos.names else {}
    names = [*tables, f"{out.stem}.json", f"{out.stem}.md"]
    with new_files(out.parent, names, replace=replace) as work:
        for name, table in tables.items():
            write_vectors(work / name, table.names, table.vectors, **(_facts(classes) if name == out.name else {}))
        whole = {**card, "files": {name: file_sha256(work / name) for name in tables}}
        text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
        (work / f"{out.stem}.json").write_text(text, encoding="utf-8")
        (work / f"{out.stem}.md").write_text(as_markdown(whole), encoding="utf-8")
    return [out.parent / name for name in names]


def _facts(classes: ClassEmbeddings) -> dict[str, NDArray[Any]]:
    return {"videos": classes.counts} | ({} if classes.seen is None else {"seen": classes.seen})
