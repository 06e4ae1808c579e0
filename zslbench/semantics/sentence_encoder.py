"""Any model of sentence-transformers in a local folder, as an encoder of class names; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import shipped_tables
from zslbench.digests import digest, file_sha256
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.files import read_json, reading
from zslbench.semantics.class_tokens import check_same_space, no_tokens, words_between
from zslbench.semantics.encoded import LocalEncoder, check_tokenizer
from zslbench.semantics.encoder import named_encoder
from zslbench.semantics.token_tower import TokenTower
from zslbench.semantics.words import unit
from zslbench.tokens import TokenVectors

_OWN = "sentence_transformers."
_TORCH = "torch.nn."
_CLASSES = ("tokenizer_class", "activation_function")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def shipped_encoder(name: str) -> Path | None:
    """Return the table of a shipped source of class vectors, such as ``minilm``, whose encoder can be installed."""
    return shipped_tables().get(name)


def sentence_encoder(folder: Path, title: str = "") -> LocalEncoder:
    """Return the model of a folder that sentence-transformers has saved, or the installed one of a shipped source.

    Parameters
    ----------
    folder
        The folder, or ``minilm``: the name of a shipped source whose encoder a package has installed.
    title
        What to call the model. By default the name of the folder.

    Raises
    ------
    NotFoundError
        There is no such folder, or no model in it.
    ZslbenchError
        The model needs code of its own, or has weights that are no safetensors, or sentence-transformers is missing.
    """
    title = title or folder.resolve().name
    if not folder.exists() and (table := shipped_encoder(str(folder))):
        title, folder = named_encoder(table)
    if not (folder / "modules.json").is_file():
        raise NotFoundError(
            f"{folder} has no modules.json, so it is no model of sentence-transformers; give a folder that "
            f"model.save(FOLDER) has written."
        )
    weights = _check(folder)
    if find_spec("sentence_transformers") is None:
        raise ZslbenchError("--encoder needs sentence-transformers; run 'pip install sentence-transformers'.")
    # By checksums, not places: the same model in another folder has the same digest.
    called = digest({str(path.relative_to(folder)): file_sha256(path) for path in weights})
    return LocalEncoder(
        title=f"sentence-transformers {title}",
        weights=called,
        templates=("{}",),
        vectors_of=partial(_vectors_of, folder),
        notes=partial(_prompts, folder),
        tokens_of=partial(_tokens_of, folder),
        folder=folder,
    )


def sentence_tower(folder: Path) -> TokenTower:
    """Return the model of a folder that sentence-transformers has saved, from token embeddings on.

    Raises
    ------
    ZslbenchError
        As :func:`sentence_encoder`, or its tokens have no embeddings that could be replaced.
    """
    weights = sentence_encoder(folder).weights
    model = _loaded(folder).eval()
    inner: Any = getattr(model[0], "auto_model", None)
    if not hasattr(inner, "get_input_embeddings"):
        raise ZslbenchError(f"{folder.name} is no transformer, so prompts cannot be learnt for it; use another model.")
    limit = int(model.max_seq_length)
    return TokenTower(
        model, model.tokenizer, inner.get_input_embeddings(), lambda given: model(given)["sentence_embedding"],
        weights, limit, before=model.prompts.get(model.default_prompt_name or "", ""),
    )  # fmt: skip


def _check(folder: Path) -> list[Path]:
    """Return the files of weights; refuse what would run code, as pickles and modules of other packages do."""
    places = [folder]
    for kind, path in _modules(folder):
        place = (folder / path).resolve()
        if not kind.startswith(_OWN) or not place.is_relative_to(folder.resolve()):
            raise ZslbenchError(
                f"{folder.name} has the module {kind!r}, whose code is not sentence-transformers' own and would run; "
                f"use another model."
            )
        places.append(place)
    for config in sorted(folder.rglob("*config*.json")):
        content = read_json(config)
        if isinstance(content, dict) and "auto_map" in content:
            raise ZslbenchError(f"{folder.name} needs code of its own ('auto_map' in {config.name}); use another.")
        for name in _classes(content):
            if not name.startswith((_OWN, _TORCH)):
                raise ZslbenchError(f"{folder.name} would run {name[:100]!r} ({config.name}); use another model.")
    for place in places:
        pickles = sorted(path.name for pattern in _PICKLES for path in place.glob(pattern))
        if pickles and not any(place.glob("*.safetensors")):
            raise ZslbenchError(
                f"{folder.name} has its weights in {pickles[0]}, a pickle, which could run code; save the model as "
                f"safetensors: model.save(FOLDER, safe_serialization=True)."
            )
    weights = sorted(path for place in set(places) for path in place.glob("*.safetensors"))
    if not weights:
        raise NotFoundError(f"{folder} has no weights (model.safetensors); copy the model again.")
    return weights


def _modules(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the class and the place of each module, also of those that a Router holds."""
    rows = read_json(folder / "modules.json")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ZslbenchError(f"{folder / 'modules.json'} is no list of modules; copy the model again.")
    for row in rows:
        kind, path = str(row.get("type", "")), str(row.get("path", ""))
        yield kind, path
        if (file := folder / path / "router_config.json").is_file():
            yield from ((str(kind), f"{path}/{name}") for name, kind in _mapping(_mapping(file).get("types")).items())


def _classes(content: object) -> Iterator[str]:
    """Yield the classes that a module's configuration names by their path: releases before 6 import any."""
    for key in _CLASSES:
        if isinstance(name := _mapping(content).get(key), str) and "." in name:
            yield name


def _prompts(folder: Path) -> list[str]:
    """Return what is to be said of the prompts that a model brings along: its ``encode`` takes the default one."""
    file = folder / "config_sentence_transformers.json"
    content = _mapping(file) if file.is_file() else {}
    own = {name: text for name, text in _mapping(content.get("prompts")).items() if text}
    default = content.get("default_prompt_name")
    said = [f"its default prompt {own[default]!r}"] if default in own else []
    if others := sorted(own.keys() - {default}):
        said.append(f"without its prompts {', '.join(others)}")
    return said


def _mapping(content: object) -> dict[str, Any]:
    """Return a mapping, or that of a JSON file; anything else is an empty one."""
    found = read_json(content) if isinstance(content, Path) else content
    return found if isinstance(found, dict) else {}


def _vectors_of(folder: Path, phrases: Sequence[str], templates: Sequence[str]) -> NDArray[Any]:
    texts = [template.replace("{}", phrase) for phrase in phrases for template in templates]
    with reading(folder, "check that the copy is complete", says=f"{folder.name} cannot be loaded"):
        rows = np.asarray(_loaded(folder).encode(texts, batch_size=64, show_progress_bar=False), dtype=np.float64)
    means = unit(rows).reshape(len(phrases), len(templates), -1).mean(axis=1)
    return unit(means).astype(np.float32)


def _tokens_of(folder: Path, phrases: Sequence[str], template: str, padded: bool) -> list[TokenVectors]:
    """Return the tokens of phrases in a prompt; such a model pads a text to the longest of a batch, which is no part.

    Raises
    ------
    ZslbenchError
        The vector of a text is neither one of these nor their mean, or a prompt is cut before its phrase.
    """
    del padded
    texts = [template.replace("{}", phrase) for phrase in phrases]
    with reading(folder, "check that the copy is complete", says=f"{folder.name} cannot be loaded"):
        model = _loaded(folder)
    if not texts:
        return []
    if not getattr(model.tokenizer, "is_fast", False):
        raise no_tokens(folder.name)
    every = model.encode(texts, batch_size=64, show_progress_bar=False, output_value="token_embeddings")
    given = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length, return_offsets_mapping=True)
    check_same_space(folder.name, np.asarray(model.encode(texts[0])), every[0].numpy())
    if [len(rows) for rows in every] != [len(each) for each in given["offset_mapping"]]:
        raise no_tokens(f"{folder.name}, which puts a prompt of its own before each text,")
    return [
        TokenVectors(rows.numpy(), words_between(offsets, template.index("{}"), phrase))
        for phrase, rows, offsets in zip(phrases, every, given["offset_mapping"], strict=True)
    ]


def _loaded(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    # On the CPU always: another device would give other bits.
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, trust_remote_code=False)
    if callable(model.tokenizer):  # word vectors have another kind of tokenizer
        check_tokenizer(model.tokenizer, folder)
    return model
