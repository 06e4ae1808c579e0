"""The card of exported embeddings: their origin, the classes seen in training, and notes on licences."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import permutations
from typing import TYPE_CHECKING, Any

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import overlap_unknown
from zslbench.embeddings.class_embeddings import ClassEmbeddings
from zslbench.embeddings.table import VectorTable, word2vec_name
from zslbench.features.feature_set import FeatureSet
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.spec import parse_spec
from zslbench.semantics.store import list_semantics
from zslbench.tables.writer import columns, table_text
from zslbench.version import __version__

if TYPE_CHECKING:
    from zslbench.run.models import SavedModel

_SCHEMA_VERSION = 1
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "gensim")


def make_card(
    classes: ClassEmbeddings, spec: str, dataset: Dataset, words: VectorTable, missing_words: Sequence[str], *,
    model: SavedModel | None = None, features: FeatureSet | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the card of class embeddings as plain values.

    Parameters
    ----------
    classes
        The exported embeddings.
    spec, dataset
        The class vectors, and the dataset of the classes.
    words, missing_words
        The result of :func:`zslbench.embeddings.export.placed_words`.
    model, features
        The origin of the embeddings; ``None`` for plain class vectors.
    """
    return {
        "schema_version": _SCHEMA_VERSION,
        "title": classes.title,
        "warnings": warnings(model, features),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "dataset": {"name": dataset.name, "citation": dataset.citation, "homepage": dataset.homepage},
        "method": _method(model),
        "split": _split(model),
        "features": _features(features),
        "class_vectors": _class_vectors(spec, dataset, classes.names),
        "dimension": int(classes.vectors.shape[1]),
        "classes": {
            name: {"videos": int(count), "seen_in_training": None if classes.seen is None else bool(classes.seen[i])}
            for i, (name, count) in enumerate(zip(classes.names, classes.counts, strict=True))
        },
        "classes_without_videos": [name for name in dataset.classes if name not in set(classes.names)],
        "words_without_vector": list(missing_words),
        "example": _example(dataset, classes.names, words.names),
        "licence_notes": _licence_notes(spec, dataset, features),
        "versions": {"zslbench": __version__} | {package: version(package) for package in _PACKAGES},
        "files": {},
    }


def warnings(model: SavedModel | None, features: FeatureSet | None) -> list[str]:
    """Return the warnings that everybody who uses embeddings of this model and these features must see."""
    found = []
    if (features is not None and features.manifest.simulated) or (model is not None and model.card.cell.simulated):
        found.append("SIMULATED FEATURES: no video was used; these embeddings say nothing about real actions.")
    if model is not None and model.card.cell.reconstruction:
        found.append("RECONSTRUCTION: the method's equations were not checked at their source.")
    if model is not None and model.card.all_classes and model.card.trains:
        found.append("ALL CLASSES: the model was trained on every class; nothing here is zero-shot.")
    return [*found, *(model.notices if model is not None else ())]


def _method(model: SavedModel | None) -> dict[str, Any] | None:
    if model is None:
        return None
    cell, info = model.card.cell, model.method.info
    return {
        "name": cell.method,
        "label": cell.label,
        "summary": info.summary,
        "citation": info.citation,
        "version": cell.method_version,
        "code_digest": cell.method_digest,
        "parameters": dict(cell.params),
        "information_budget": list(cell.budget),
        "reconstruction": cell.reconstruction,
        "model": model.card.id,
        "trained_with": f"zslbench {model.card.zslbench}",
    }


def _split(model: SavedModel | None) -> dict[str, Any] | None:
    if model is None:
        return None
    cell = model.card.cell
    split = (
        None if model.card.all_classes else {"family": cell.family, "number": cell.split, "digest": cell.split_digest}
    )
    return {
        "split": split,
        "base_seed": cell.seed,
        "seen_dataset": model.card.seen_dataset,
        "seen": list(model.card.trained),
        "unseen": list(model.card.unseen),
    }


def _features(features: FeatureSet | None) -> dict[str, Any] | None:
    if features is None:
        return None
    manifest = features.manifest
    return {
        "title": features.title,
        "extractor_trained_on": list(manifest.trained_on),
        "videos": manifest.n_videos,
        "digest": manifest.digest,
        **manifest.model_dump(include={"extractor", "weights_digest", "pca_fit", "simulated", "note"}),
    }


def _class_vectors(spec: str, dataset: Dataset, names: Sequence[str]) -> dict[str, Any]:
    used = open_semantics(spec, dataset, names)
    return {"spec": spec, "description": used.describe(), "parameters": dict(used.parameters), "digest": used.digest}


def _example(dataset: Dataset, names: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return an expression to try: class - noun + noun of one verb, or a class if there is no such expression."""
    pairs = [
        [name, "-", minus, "+", plus]
        for groups in dataset.analogies.values()
        for group in groups.values()
        for (minus, name), (plus, target) in permutations(group.items(), 2)
        if {name, target} <= set(names) and {minus, plus} <= set(words)
    ]
    musical = [pair for pair in pairs if pair[2::2] == ["piano", "violin"]]  # the example of Action2Vec's paper first
    return next(iter([*musical, *pairs]), [names[0]])


def _licence_notes(spec: str, dataset: Dataset, features: FeatureSet | None) -> list[str]:
    notes = []
    if features is not None:
        notes.append(
            f"The features ({features.manifest.extractor}) and the videos of {dataset.display_name} belong to their "
            f"owners; their terms decide whether embeddings made from them may be shared."
        )
    return [*notes, vectors_licence(parse_spec(spec)[0], dataset)]


def vectors_licence(name: str, dataset: Dataset) -> str:
    """Return a sentence about the origin and licence of class vectors."""
    if name in dataset.vectors and (card := dataset.vectors[name].with_suffix(".json")).is_file():
        record = json.loads(card.read_text(encoding="utf-8"))
        return f"Class vectors: {record['model']}, {record['licence']}. {record['citation']}. {record['homepage']}"
    files = {manifest.name: manifest.source_file for manifest in list_semantics()}
    return f"Class vectors: {name}, imported from {files.get(name, 'an unknown file')}; its authors' terms apply."


def as_markdown(card: Mapping[str, Any]) -> str:
    """Return the card as the text of ``STEM.md``."""
    parts = [f"# {card['title']}", *(f"**{warning}**" for warning in card["warnings"])]
    rows = [("dimension", card["dimension"]), ("classes", len(card["classes"])), ("made", card["created"])]
    rows += [("dataset", card["dataset"]["name"]), ("class vectors", card["class_vectors"]["description"])]
    rows += [("class vectors' digest", card["class_vectors"]["digest"])]
    if card["features"] is not None:
        rows += _feature_rows(card["features"])
    if card["method"] is not None:
        rows += _method_rows(card["method"], card["split"])
    rows += [(f"SHA-256 of {name}", digest) for name, digest in card["files"].items()]
    rows += [("versions", ", ".join(f"{name} {number}" for name, number in card["versions"].items()))]
    parts.append(_table(("", ""), rows))
    if card["method"] is not None:
        parts += ["## What was seen in training", _seen_note(card)]
    if card["classes_without_videos"]:
        parts.append(f"Without videos, so left out: {', '.join(card['classes_without_videos'])}.")
    if card["words_without_vector"]:
        parts.append(f"Words without a vector, so left out: {', '.join(card['words_without_vector'])}.")
    parts += ["## Classes", _table(("class", "videos averaged", "seen in training"), _class_rows(card))]
    parts += ["## Licences", "\n".join(f"- {note}" for note in card["licence_notes"])]
    parts += ["## Use", _usage(card)]
    return "\n\n".join(parts) + "\n"


def _feature_rows(features: Mapping[str, Any]) -> list[tuple[str, Any]]:
    names = features["extractor_trained_on"]
    trained_on = (", ".join(names) or "not stated") + (" (overlap unknown)" if overlap_unknown(names) else "")
    return [
        ("features", f"{features['title']} ({features['videos']:,} videos)"),
        ("extractor", f"{features['extractor']}, trained on {trained_on}"),
        ("features' digest", features["digest"]),
    ]


def _method_rows(method: Mapping[str, Any], split: Mapping[str, Any]) -> list[tuple[str, Any]]:
    where = split["split"]
    return [
        ("method", f"{method['label']}: {method['summary']}"),
        ("citation", method["citation"]),
        ("parameters", ", ".join(f"{name}={value}" for name, value in method["parameters"].items())),
        ("information budget", ", ".join(method["information_budget"])),
        ("split", "none: trained on all classes" if where is None else f"{where['family']} #{where['number']}"),
        ("base seed", split["base_seed"]),
        ("model", f"{method['model']}, {method['trained_with']}"),
    ]


def _seen_note(card: Mapping[str, Any]) -> str:
    split = card["split"]
    if not split["seen"]:
        return "The method was not trained: no video of any class was used."
    flags = [entry["seen_in_training"] for entry in card["classes"].values()]
    return (
        f"The method was trained on videos of {len(split['seen'])} classes of {split['seen_dataset']}. Of the "
        f"{len(flags)} classes here, {sum(flags)} are among them; the videos averaged for them include training "
        f"videos. No video of the other {len(flags) - sum(flags)} was used in training."
    )


def _class_rows(card: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    seen = {True: "yes", False: "no", None: "-"}
    return [(name, entry["videos"] or "-", seen[entry["seen_in_training"]]) for name, entry in card["classes"].items()]


def _table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return table_text("markdown", columns(headers), rows)


def _usage(card: Mapping[str, Any]) -> str:
    file, *others = card["files"]
    words = next((name for name in others if ".words." in name), None)
    query = f'zslbench embeddings query {file} "{" ".join(card["example"])}"'
    if file.endswith(".npz"):
        return f"`numpy.load` gives `names` and `vectors` of each file.\n\n```sh\n{query}\n```"
    binary = ", binary=True" if file.endswith(".bin") else ""
    name, *nouns = (word2vec_name(part) for part in card["example"] if part not in "+-")
    code = ["from gensim.models import KeyedVectors", ""]
    code += [f'classes = KeyedVectors.load_word2vec_format("{file}"{binary})', f'classes.most_similar("{name}")']
    if words is not None and nouns:
        minus, plus = (f'words.get_vector("{noun}", norm=True)' for noun in nouns)
        code += [f'words = KeyedVectors.load_word2vec_format("{words}"{binary})']
        code += [f'classes.most_similar(positive=["{name}", {plus}], negative=[{minus}])']
    python = "\n".join(code)
    return f"```python\n{python}\n```\n\n```sh\n{query}\n```"
