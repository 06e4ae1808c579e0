"""Sentence embeddings of any text, by the encoder that made a shipped table; nothing is downloaded.

A shipped table ``NAME.npz`` has a card ``NAME.json`` beside it that names its encoder: ``model`` and ``model_sha256``.
``hub`` is its name on the Hugging Face hub, and ``package`` a package that contains the weights.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.digests import file_sha256
from zslbench.errors import NotFoundError, OutOfVocabularyError, ZslbenchError, some
from zslbench.files import read_json

_WEIGHTS = "model.safetensors"


def encode_like(
    table: Path, phrases: Sequence[str], *, instead: str = "use words of class names"
) -> NDArray[np.float16]:
    """Return the vectors that phrases would have in a shipped table, (k, d), in the table's format.

    Parameters
    ----------
    table
        The ``.npz`` file; its card is beside it.
    phrases
        Any text.
    instead
        What a user can do without the encoder, for the message.

    Raises
    ------
    OutOfVocabularyError
        The table has no card that names an encoder, or the encoder is not on this machine; the message says how to get
        it.
    """
    try:
        card = read_json(table.with_suffix(".json"))
        model, package = card["model"], card["package"]
    except (ZslbenchError, KeyError, TypeError):
        raise OutOfVocabularyError(
            f"{table.stem} has no vector of {_quoted(phrases)}, and names no encoder that could make one; "
            f"use other words or a source of word vectors."
        ) from None
    # find_spec, because importing sentence_transformers takes seconds.
    if find_spec("sentence_transformers") is None or (folder := model_folder(card)) is None:
        raise OutOfVocabularyError(
            f"{table.stem} has no vector of {_quoted(phrases)}, and its encoder {model} is not on this machine; "
            f"{instead}, or run '{_install(package)}'."
        )
    return encode(folder, phrases)


def named_encoder(table: Path) -> tuple[str, Path]:
    """Return the name of a shipped table's encoder, and its folder.

    Raises
    ------
    NotFoundError
        It is not on this machine.
    """
    card = read_json(table.with_suffix(".json"))
    if find_spec("sentence_transformers") is None or (folder := model_folder(card)) is None:
        raise NotFoundError(
            f"the encoder of {table.stem}, {card['model']}, is not on this machine; run '{_install(card['package'])}'."
        )
    return card["model"], folder


def install_command(table: Path) -> str:
    """Return the command that installs the encoder of a shipped table."""
    return _install(read_json(table.with_suffix(".json"))["package"])


def _install(package: str) -> str:
    return f"pip install sentence-transformers {package}"


@cache
def encoder_of(table: Path) -> str | None:
    """Return the checksum of the encoder that a shipped table's card names, or ``None`` if it names none."""
    try:
        checksum = read_json(table.with_suffix(".json"))["model_sha256"]
    except (ZslbenchError, KeyError, TypeError):
        return None
    return str(checksum)


def encode(folder: Path, phrases: Sequence[str]) -> NDArray[np.float16]:
    """Return the sentence embeddings of phrases, (k, d), scaled to unit length and rounded to float16.

    Parameters
    ----------
    folder
        A model of sentence-transformers.
    phrases
        Any text.
    """
    vectors = np.asarray(_model(folder).encode(list(phrases), batch_size=64, show_progress_bar=False), dtype=np.float64)
    result: NDArray[np.float16] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    return result


@lru_cache(maxsize=1)
def _model(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    hide_progress: Callable[[], None] = logging.disable_progress_bar
    hide_progress()
    # On the CPU always, and rounded to float16: a GPU would give other bits than the shipped vectors.
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def model_folder(card: dict[str, Any]) -> Path | None:
    """Return the folder of the model that a card names, from its package or the hub's local cache; else ``None``.

    Weights count only if they have the card's checksum: vectors of another model would be in another space.
    """
    found = (folder for find in (_packaged, _cached) if (folder := find(card)) is not None)
    return next((folder for folder in found if file_sha256(folder / _WEIGHTS) == card["model_sha256"]), None)


def _packaged(card: dict[str, Any]) -> Path | None:
    spec = find_spec(card["package"].replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    return next((path.parent for path in Path(spec.origin).parent.rglob(_WEIGHTS)), None)


def _cached(card: dict[str, Any]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(card["hub"], _WEIGHTS)
    return Path(path).parent if isinstance(path, str) else None


def _quoted(phrases: Sequence[str]) -> str:
    return some([repr(textwrap.shorten(phrase, 50, placeholder=" ...")) for phrase in phrases])
