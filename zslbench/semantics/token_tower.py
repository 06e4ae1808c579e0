"""The encoder that made a source's class vectors, from token embeddings on, for prompts to learn and other texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.compute import computing_device
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, OutOfVocabularyError, ZslbenchError
from zslbench.registry import Registry
from zslbench.semantics.class_vectors import known_texts, text_vectors
from zslbench.semantics.encoder import encoder_of, named_encoder
from zslbench.semantics.spec import parse_spec
from zslbench.semantics.store import read_semantics_manifest

if TYPE_CHECKING:
    import torch

_TOWERS = Registry("zslbench.text_towers", "text tower")
_BATCH = 64  # texts at a time


class TokenTower:
    """A :class:`~zslbench.classes.TokenEncoder` of a frozen torch model and its tokenizer.

    The model computes as always, with its own masks and pooling: only the outputs of its token embedding are replaced.

    Parameters
    ----------
    model
        The model, a torch.nn.Module in evaluation mode; its parameters will need no gradient.
    tokenizer
        Of transformers.
    embedding
        The module of the model that embeds its tokens.
    vectors_of
        Function of the model's inputs by name, such as ``input_ids``, to vectors (n, d).
    weights
        Digest of the model.
    limit
        The most tokens of a text.
    padding
        Whether texts are padded to the longest one or to the limit.
    lower
        Whether texts are brought to lower case first.
    before
        A prompt that the encoder puts before every text.

    Examples
    --------
    >>> import torch
    >>> embedding = torch.nn.Embedding(5, 2)  # a model of nothing else
    >>> tower = TokenTower(embedding, None, embedding, lambda inputs: embedding(inputs["input_ids"]), "made up", 77)
    >>> tower.rows([3, 4]).shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        embedding: Any,
        vectors_of: Callable[[dict[str, torch.Tensor]], torch.Tensor],
        weights: str,
        limit: int,
        padding: Literal["longest", "max_length"] = "longest",
        *,
        lower: bool = False,
        before: str = "",
    ) -> None:
        self._model = model.requires_grad_(False)
        self._tokenizer, self._embedding, self._vectors_of = tokenizer, embedding, vectors_of
        self.weights, self.limit, self._padding = weights, limit, padding
        self._lower, self._before = lower, before

    def ids(self, texts: Sequence[str], *, ends: bool = True) -> list[list[int]]:
        """Return the tokens of each text, with those that the encoder puts at its ends or without them.

        Raises
        ------
        ZslbenchError
            A text has more tokens than the encoder takes.
        """
        found = self._tokens(texts, add_special_tokens=ends)
        for text, tokens in zip(texts, found, strict=True):
            if len(tokens) > self.limit:
                raise ZslbenchError(
                    f"the prompt {text!r} has {len(tokens)} tokens and the text tower takes {self.limit}; use fewer "
                    f"context tokens."
                )
        return found

    def _tokens(self, texts: Sequence[str], **how: Any) -> list[list[int]]:
        before = self._before if how.get("add_special_tokens", True) else ""
        said = [before + (text.lower() if self._lower else text) for text in texts]
        found: list[list[int]] = self._tokenizer(said, **how)["input_ids"]
        return found

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the embeddings of tokens, (k, width)."""
        import torch

        device = next(self._model.parameters()).device
        rows: torch.Tensor = self._embedding(torch.tensor(list(ids), dtype=torch.long, device=device))
        return rows.detach().clone()

    def encode(self, ids: Sequence[Sequence[int]], places: Sequence[Sequence[int]], rows: torch.Tensor) -> torch.Tensor:
        """Return the unit vectors of texts, (n, d), in which the tokens at ``places`` have the embeddings ``rows``."""
        import torch

        self._model.to(rows.device)
        length = self.limit if self._padding == "max_length" else max(len(each) for each in ids)
        before = [length - len(each) if self._tokenizer.padding_side == "left" else 0 for each in ids]
        tokens = torch.full((len(ids), length), self._tokenizer.pad_token_id or 0)
        real = torch.zeros_like(tokens)
        for i, (each, start) in enumerate(zip(ids, before, strict=True)):
            tokens[i, start : start + len(each)] = torch.tensor(each)
            real[i, start : start + len(each)] = 1
        given = {"input_ids": tokens, "attention_mask": real}
        given = {name: given[name].to(rows.device) for name in given if name in self._tokenizer.model_input_names}
        at = torch.tensor([[start + place for place in own] for start, own in zip(before, places, strict=True)])
        line, at = torch.arange(len(ids))[:, None].to(rows.device), at.long().to(rows.device)

        def instead(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            return output.index_put((line, at), rows.to(output.dtype).expand(len(ids), -1, -1))

        hook = self._embedding.register_forward_hook(instead)
        try:
            vectors = self._vectors_of(given)
        finally:
            hook.remove()
        return torch.nn.functional.normalize(vectors, dim=1)

    def text_rows(self, texts: Sequence[str], device: str) -> NDArray[np.float32]:
        """Return the unit vectors of texts, (n, d), as they are; what is over the limit is cut, as in an import."""
        import torch

        nothing, found = self.rows([]).to(device), []
        for start in range(0, len(texts), _BATCH):
            ids = self._tokens(texts[start : start + _BATCH], truncation=True, max_length=self.limit)
            with torch.inference_mode():
                found.append(self.encode(ids, [[]] * len(ids), nothing).float().cpu().numpy())
        return np.concatenate(found)


def class_phrases(spec: str, dataset: Dataset, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes as the encoder of a source gets them; a name that is no class stays as it is."""
    source, given = parse_spec(spec)
    table = given.get("names", "plain")
    if source not in dataset.vectors:
        prompt = read_semantics_manifest(source).prompts.get(dataset.name, "")
        table = prompt.partition(",")[0].removeprefix("names=") or table
    spelt = dataset.spelling(table)
    return tuple(spelt.get(name, name) for name in names)


def find_tower(spec: str, dataset: Dataset) -> tuple[Path, str]:
    """Return the folder of the encoder that made a source's class vectors, and the digest of its weights.

    Nothing is loaded. The digest is empty where the folder was found by its checksum.

    Raises
    ------
    ZslbenchError
        The source has no such encoder, or it is not on this machine.
    """
    source, _ = parse_spec(spec)
    if (table := dataset.vectors.get(source)) and encoder_of(table):
        return named_encoder(table)[1], ""
    manifest = None if table else read_semantics_manifest(source, dataset.vectors)
    if manifest is None or not manifest.model:
        raise ZslbenchError(
            f"the class vectors {source} do not say which text tower made them, or none did; use --semantics with a "
            f"source that 'zslbench semantics import NAME --model MODEL --dataset {dataset.name}' makes."
        )
    if not (folder := Path(manifest.model)).is_dir():
        raise NotFoundError(
            f"the text tower of {source} is no longer in {folder}; put it back, or remove {source} and import it again."
        )
    if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
        raise ZslbenchError(
            f"the text tower of {source} in {folder} is no model of transformers or sentence-transformers, so it "
            f"cannot encode during a run; import class vectors of one that is."
        )
    return folder, manifest.weights


def open_tower(spec: str, dataset: Dataset) -> TokenTower:
    """Return the encoder that made a source's class vectors, from token embeddings on.

    Raises
    ------
    ZslbenchError
        As :func:`find_tower`, or the weights in the folder are not those that made the class vectors.
    """
    folder, weights = find_tower(spec, dataset)
    tower = _opened(folder)
    if weights and tower.weights != weights:
        raise ZslbenchError(
            f"{folder} has other weights than made the class vectors {parse_spec(spec)[0]}; remove and import them "
            f"again, or put the model back."
        )
    return tower


def any_text_vectors(spec: str, dataset: Dataset, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of any texts in the space of the class vectors, (k, d): what methods get as ``encode``.

    They are those of :func:`~zslbench.semantics.class_vectors.text_vectors`. The model that made an imported source
    encodes the texts that it lacks, as they are, to unit length. It computes on the device of the run.

    Raises
    ------
    OutOfVocabularyError
        The source lacks a text, and no model made it, or its encoder is not installed.
    ZslbenchError
        As :func:`open_tower`.
    """
    try:
        return text_vectors(spec, dataset, texts)
    except OutOfVocabularyError:
        source, _ = parse_spec(spec)
        if source in dataset.vectors or not read_semantics_manifest(source).model:
            raise
    usual = {text: " ".join(text.lower().split()) for text in texts}  # as text_vectors looks it up
    known = set(known_texts(spec, dataset, [*usual, *usual.values()]))
    held = [text for text, lower in usual.items() if text in known or lower in known]
    absent = [text for text in usual if text not in set(held)]
    rows = dict(zip(held, text_vectors(spec, dataset, held), strict=True))
    rows |= dict(zip(absent, open_tower(spec, dataset).text_rows(absent, computing_device()), strict=True))
    return np.stack([rows[text] for text in texts])


@lru_cache(maxsize=1)
def _opened(folder: Path) -> TokenTower:
    kind = "sentence-transformers" if (folder / "modules.json").is_file() else "transformers"
    tower: TokenTower = _TOWERS.get(kind)(folder)
    return tower
