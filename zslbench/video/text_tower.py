"""Class vectors by the text tower of a model of transformers or open_clip, such as CLIP, SigLIP or X-CLIP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.files import reading
from zslbench.semantics.class_tokens import check_same_space, no_tokens, words_between
from zslbench.semantics.encoded import LocalEncoder, check_tokenizer
from zslbench.semantics.token_tower import TokenTower
from zslbench.tokens import TokenVectors
from zslbench.video.backbone import require
from zslbench.video.backbones.clip import unit_rows
from zslbench.video.backbones.open_clip_model import load_open_clip, open_clip_tokenizer
from zslbench.video.backbones.transformers_model import (
    has_text_tower,
    load_config,
    model_type,
    open_model,
    pooled,
)
from zslbench.video.layouts import OPEN_CLIP, layout_of
from zslbench.video.model_files import CONFIG, EXTRA, ModelFiles, check_model_files, weights_digest
from zslbench.videos import FloatArray

if TYPE_CHECKING:
    import torch

TEMPLATES = (
    "a video of a person {}.",
    "a video of {}.",
    "a photo of a person {}.",
    "a photo of {}.",
    "a person {}.",
    "{}, a video of an action.",
    "an example of a person {}.",
    "a demonstration of {}.",
)
_TEXTS = 64  # per batch
_ENDLESS = 10**6  # a tokenizer without a limit has a larger number
_PADS_WITH_0 = ("clip", "xclip")  # as CLIP's released tokenizer does; that of transformers pads with its end


class TextTower:
    """Encode texts with the text tower of a model in a local folder.

    Attributes
    ----------
    limit
        The most tokens of a text that the tower takes.
    cut
        Number of texts so far whose ends were cut off because they have more.

    Raises
    ------
    ZslbenchError
        The folder lacks a file, or the model embeds no texts.

    Examples
    --------
    >>> TextTower(Path("an-empty-folder"))
    Traceback (most recent call last):
    zslbench.errors.ZslbenchError: an-empty-folder has no config.json; ...
    """

    def __init__(self, folder: Path, *, trust_remote_code: bool = False) -> None:
        check_model_files(folder)
        self._tower = (
            _OpenClip(folder)
            if layout_of(folder) is OPEN_CLIP
            else _Transformers(folder, trust_remote_code=trust_remote_code)
        )
        self.limit = self._tower.limit
        self.cut = 0
        self._title = f"the text tower of {folder.name}"

    def encode(
        self, texts: Sequence[str], progress: Callable[[int, int], object] = lambda done, total: None
    ) -> FloatArray:
        """Return the unit vector of each text, (n, D) float32; ``progress`` gets how many of all are encoded."""
        import torch

        rows = []
        for start in range(0, len(texts), _TEXTS):
            part = list(texts[start : start + _TEXTS])
            self.cut += sum(length > self.limit for length in self._tower.lengths(part))
            with torch.inference_mode():
                rows.append(self._tower.features(part).float().numpy())
            progress(start + len(part), len(texts))
        return unit_rows(np.concatenate(rows))

    def class_vectors(self, phrases: Sequence[str], templates: Sequence[str] = TEMPLATES) -> FloatArray:
        """Return the unit vector of each phrase, (n, D) float32.

        It is the mean over the templates of vectors of unit length, scaled to unit length again (Radford et al., ICML
        2021, section 3.1.4).
        """
        texts = [template.replace("{}", phrase) for phrase in phrases for template in templates]
        return unit_rows(self.encode(texts).reshape(len(phrases), len(templates), -1).mean(axis=1))

    def tokens(self, phrases: Sequence[str], template: str = "{}", padded: bool = True) -> list[TokenVectors]:
        """Return the tokens of each phrase in a prompt: the projected last hidden state at each position.

        This is what CLIP's ``encode_text`` computes before it takes the position of the end, as Wu et al. (CVPR 2023)
        use it. No position is masked, since each sees only those before it.

        Parameters
        ----------
        template
            Text with ``{}`` for the phrase.
        padded
            Whether to keep the positions of the padding, so that each has :attr:`limit`.

        Raises
        ------
        ZslbenchError
            The vector of a text is not one of these, or a prompt is cut before its phrase.
        """
        found = []
        for start in range(0, len(phrases), _TEXTS):
            part = phrases[start : start + _TEXTS]
            rows, every = self._tower.tokens([template.replace("{}", phrase) for phrase in part])
            for phrase, own, offsets in zip(part, rows, every, strict=True):
                words = words_between(offsets, template.index("{}"), phrase)
                kept = self.limit if padded else len(offsets)
                found.append(TokenVectors(own[:kept], np.pad(words, (0, kept - len(words)))))
        if phrases:
            check_same_space(self._title, self.encode([template.replace("{}", phrases[0])])[0], found[0].rows)
        return found

    def notes(self) -> list[str]:
        """Return what is to be said of the texts so far: how many were cut."""
        texts = "1 text was" if self.cut == 1 else f"{self.cut} texts were"
        return [f"{texts} cut after {self.limit} tokens"] if self.cut else []


class _Transformers:
    """The text tower of a model of transformers, with its tokenizer.

    Attributes
    ----------
    limit
        The most tokens of a text.
    """

    def __init__(self, folder: Path, *, trust_remote_code: bool) -> None:
        transformers = require("transformers", EXTRA)
        config = load_config(folder, trust_remote_code=trust_remote_code)
        # In float32, as the features of its other tower: files of half precision are else computed in it.
        self._model = open_model(folder, trust_remote_code=trust_remote_code).float()
        if not has_text_tower(self._model):
            raise ZslbenchError(
                f"{folder} is a {config.model_type}, which has no text tower; use class vectors of another source, or "
                f"a model such as CLIP, SigLIP or X-CLIP."
            )
        with reading(folder / CONFIG, "copy the tokenizer's files from the model", says=f"{folder} has no tokenizer"):
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
        check_tokenizer(self._tokenizer, folder)
        positions = getattr(getattr(config, "text_config", config), "max_position_embeddings", _ENDLESS)
        self.limit = int(min(self._tokenizer.model_max_length, positions - _unused_positions(self._model)))
        kind = model_type(config)
        self._padding = kind.padding
        # The tokenizer of SigLIP does it by itself, that of SigLIP 2 with a fixed resolution (Gemma's) does not.
        self._lower = kind.lower and getattr(self._tokenizer, "do_lower_case", True)

    def _seen(self, texts: Sequence[str]) -> list[str]:
        return [text.lower() if self._lower else text for text in texts]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [len(tokens) for tokens in self._tokenizer(self._seen(texts))["input_ids"]]

    def features(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the vectors of the texts, (n, D)."""
        tokens = self._tokenizer(
            self._seen(texts), padding=self._padding, truncation=True, max_length=self.limit, return_tensors="pt"
        )
        return pooled(self._model.get_text_features(**tokens))

    def tokens(self, texts: Sequence[str]) -> tuple[FloatArray, Sequence[Sequence[tuple[int, int]]]]:
        """Return projected last hidden states (n, limit, D), and where each text's tokens begin and end in it."""
        import torch

        model = self._model
        if not (hasattr(model, "text_model") and hasattr(model, "text_projection") and self._tokenizer.is_fast):
            raise no_tokens(f"a {model.config.model_type}")
        given = self._tokenizer(self._seen(texts), truncation=True, max_length=self.limit, return_offsets_mapping=True)
        pad = 0 if model.config.model_type in _PADS_WITH_0 else self._tokenizer.pad_token_id
        ids = torch.full((len(texts), self.limit), pad)
        for row, own in zip(ids, given["input_ids"], strict=True):
            row[: len(own)] = torch.tensor(own)
        with torch.inference_mode():
            rows = model.text_projection(model.text_model(input_ids=ids).last_hidden_state)
        return rows.float().numpy(), given["offset_mapping"]

    def from_tokens(self, weights: str) -> TokenTower:
        """Return the tower from token embeddings on; ``weights`` is the digest of the model."""
        from torch import nn

        config = getattr(self._model.config, "text_config", self._model.config)
        embeddings = (each for each in self._model.modules() if isinstance(each, nn.Embedding))
        embedding = next(each for each in embeddings if each.num_embeddings == config.vocab_size)
        return TokenTower(
            self._model, self._tokenizer, embedding, lambda given: pooled(self._model.get_text_features(**given)),
            weights, self.limit, self._padding, lower=self._lower,
        )  # fmt: skip


class _OpenClip:
    """The text tower of a model of open_clip, with its tokenizer.

    Attributes
    ----------
    limit
        The most tokens of a text.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = open_clip_tokenizer(folder)
        # That of transformers, which open_clip wraps; else CLIP's own.
        self._wrapped = getattr(self._tokenizer, "tokenizer", None)
        if self._wrapped is not None:
            check_tokenizer(self._wrapped, folder)
        self._model = load_open_clip(folder)
        self.limit = int(self._tokenizer.context_length)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        if self._wrapped is None:
            return [len(self._tokenizer.encode(text)) + 2 for text in texts]  # the start and the end
        seen = [self._tokenizer.clean_fn(text) for text in texts]
        if self._tokenizer.tokenizer_mode == "clips":  # adds the start, the end and a class token by itself
            return [len(tokens) + 3 for tokens in self._wrapped(seen, add_special_tokens=False)["input_ids"]]
        return [len(tokens) for tokens in self._wrapped(seen)["input_ids"]]

    def features(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the vectors of the texts, (n, D)."""
        vectors: torch.Tensor = self._model.encode_text(self._tokenizer(list(texts)))
        return vectors

    def tokens(self, texts: Sequence[str]) -> tuple[FloatArray, Sequence[Sequence[tuple[int, int]]]]:
        """Refuse: the tokenizer does not say where a token is in its text."""
        del texts
        raise ZslbenchError("a model of open_clip gives no tokens; take the same model in transformers' format.")


def _unused_positions(model: Any) -> int:
    """Return the number of position embeddings before that of the first token: RoBERTa's begin after the padding."""
    found = (each for name, each in model.named_modules() if name.endswith(".embeddings.position_embeddings"))
    return next((each.padding_idx + 1 for each in found if getattr(each, "padding_idx", None) is not None), 0)


def tower_encoder(files: ModelFiles, *, trust_remote_code: bool = False) -> LocalEncoder:
    """Return the text tower of a model as an encoder of class names.

    Raises
    ------
    ZslbenchError
        As :class:`TextTower`.
    """
    tower = TextTower(files.folder, trust_remote_code=trust_remote_code)
    title = f"text tower of {files.title if files.name else files.folder.name}"
    return LocalEncoder(title, weights_digest(files.folder), TEMPLATES, tower.class_vectors, tower.notes, tower.tokens)


def text_tower(folder: Path) -> TokenTower:
    """Return the text tower of a model in a local folder, from token embeddings on.

    Raises
    ------
    ZslbenchError
        As :class:`TextTower`, or it is a model of open_clip.
    """
    check_model_files(folder)
    if layout_of(folder) is OPEN_CLIP:
        raise ZslbenchError(
            f"{folder} is read by open_clip, whose models cannot encode during a run; use one in the format of "
            f"transformers."
        )
    return _Transformers(folder, trust_remote_code=False).from_tokens(weights_digest(folder))
