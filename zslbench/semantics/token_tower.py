"""The encoder that made a source's class vectors, from token embeddings on: what a method that learns prompts needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.registry import Registry
from zslbench.semantics.encoder import encoder_of, named_encoder
from zslbench.semantics.spec import parse_spec
from zslbench.semantics.store import read_semantics_manifest

if TYPE_CHECKING:
    import torch

_TOWERS = Registry("zslbench.text_towers", "text tower")


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
        said = [(self._before if ends else "") + (text.lower() if self._lower else text) for text in texts]
        found: list[list[int]] = self._tokenizer(said, add_special_tokens=ends)["input_ids"]
        for text, tokens in zip(texts, found, strict=True):
            if len(tokens) > self.limit:
                raise ZslbenchError(
                    f"the prompt {text!r} has {len(tokens)} tokens and the text tower takes {self.limit}; use fewer "
                    f"context tokens."
                )
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
            f"the text tower of {source} in {folder} is no model of transformers or sentence-transformers, so prompts "
            f"cannot be learnt through it; import class vectors of one that is."
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


@lru_cache(maxsize=1)
def _opened(folder: Path) -> TokenTower:
    kind = "sentence-transformers" if (folder / "modules.json").is_file() else "transformers"
    tower: TokenTower = _TOWERS.get(kind)(folder)
    return tower
