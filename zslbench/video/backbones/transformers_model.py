"""Any image-text, video-text or video model that transformers knows, from a folder of ``save_pretrained`` or the hub.

``AutoModel`` and the model's own processor do the work. What differs between model types is a row of
:data:`zslbench.video.model_types.TYPES`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.files import read_json, reading
from zslbench.video.backbone import BackboneInfo, Frames, require
from zslbench.video.backbones._torch import TorchBackbone, TorchParams, refuse_misfit
from zslbench.video.backbones.clip import clip_means, unit_rows
from zslbench.video.layouts import TRANSFORMERS
from zslbench.video.model_files import (
    CONFIG,
    EXTRA,
    check_model_files,
    load_processor,
    major_version,
    quiet,
    weights_digest,
)
from zslbench.video.model_types import TYPES, WEB, ModelType

if TYPE_CHECKING:
    import torch

_INPUTS = ("pixel_values", "pixel_values_videos", "pixel_attention_mask", "spatial_shapes")
_PROBE = (240, 320, 3)  # a frame of which only the shape of the features is wanted
_LAYER = re.compile(r"(.*?)\.\d+\.")  # a layer of a stack, and the stack
Outputs = Any  # of a model of transformers


class TransformersParams(TorchParams):
    """Parameters of a model of transformers.

    Attributes
    ----------
    tokens
        ``pooled``: one feature per clip. ``patch``: the pooled feature, then one feature per patch (of single frames)
        or per tube (of clips).
    normalise
        Whether to scale every feature to unit length, before the mean over frames. By default models with a text tower
        do, others do not.
    trust_remote_code
        Whether to run Python code that comes with the model.

    Examples
    --------
    >>> TransformersParams(tokens="patch").batch_size
    8
    """

    tokens: Literal["pooled", "patch"] = "pooled"
    normalise: bool | None = None
    trust_remote_code: bool = False
    batch_size: int = Field(8, ge=1)


class TransformersModel(TorchBackbone):
    """The image or video tower of a model, with the preprocessing of its own processor.

    Examples
    --------
    >>> TransformersModel(weights=Path("an-empty-folder"))
    Traceback (most recent call last):
    zslbench.errors.ZslbenchError: an-empty-folder has no config.json; ...
    """

    info = BackboneInfo(
        name="transformers",
        summary="A model of transformers: CLIP, SigLIP, X-CLIP, VideoMAE and others.",
        citation="Wolf et al.: Transformers: State-of-the-Art Natural Language Processing. EMNLP 2020, demonstrations.",
        clip_len=None,
        weights="a folder that save_pretrained of transformers wrote, or --model with a name of the hub.",
    )

    class Params(TransformersParams):
        """See :class:`TransformersParams`."""

    def _digest(self, weights: Path) -> str:
        check_model_files(weights, TRANSFORMERS)
        return weights_digest(weights, TRANSFORMERS)

    @cached_property
    def config(self) -> Any:
        """The model's configuration."""
        return load_config(self.weights_file, trust_remote_code=self.params.trust_remote_code)

    @cached_property
    def type(self) -> ModelType:
        """What the model type has of its own."""
        return model_type(self.config)

    @property
    def usual_trained_on(self) -> tuple[str, ...]:
        """Captions for models with a text tower; the files of others differ, so theirs is unknown until declared."""
        return self.type.trained_on

    @property
    def kind(self) -> Literal["clip", "frame"]:
        """``clip`` for a model of videos."""
        return "clip" if self.type.video else "frame"

    @property
    def clip_len(self) -> int | None:
        """The frames of a clip of a video model; 1 for patches of single frames; otherwise any number."""
        if not self.type.video:
            return 1 if self.params.tokens == "patch" else None
        sizes = getattr(self.config, "vision_config", self.config)
        return int(getattr(sizes, self.type.length))

    @cached_property
    def processor(self) -> Any:
        """The model's own image or video processor."""
        return load_processor(self.weights_file, trust_remote_code=self.params.trust_remote_code)

    @cached_property
    def _shape(self) -> tuple[int, int]:
        rows = self.forward([self.preprocess(np.zeros((self.clip_len or 1, *_PROBE), dtype=np.uint8))])
        return rows.shape[0], rows.shape[1]

    @property
    def dim(self) -> int:
        """Values per feature."""
        return self._shape[1]

    @property
    def rows_per_clip(self) -> int:  # type: ignore[override]
        """1, or 1 + the number of patches or tubes."""
        return 1 if self.params.tokens == "pooled" else self._shape[0]

    def describe(self) -> str:
        """Return name, version, parameters, and digests of the configurations of the model and its processor."""
        values = read_json(self.weights_file / CONFIG, "copy it from the model again")
        # Saving the same model again changes these keys and nothing that features depend on.
        model = {key: value for key, value in values.items() if key not in ("transformers_version", "_name_or_path")}
        made = {key: value for key, value in self.processor.to_dict().items() if key != "transformers_version"}
        return f"{super().describe()} {self.config.model_type} config {digest(model)} preprocessing {digest(made)}"

    def preprocess(self, clip: Frames) -> dict[str, NDArray[Any]]:
        """Return the processor's arrays for one clip, without an axis of clips."""
        from PIL import Image

        images = [Image.fromarray(frame) for frame in clip]
        of_clips = "videos" in inspect.signature(self.processor.preprocess).parameters
        # A sampler has chosen the frames: a video processor must not choose among them.
        whole = {"do_sample_frames": False} if hasattr(self.processor, "do_sample_frames") else {}
        made = self.processor([images] if of_clips else images, return_tensors="pt", **whole)
        found = {key: made[key].numpy() for key in _INPUTS if key in made}
        return {key: value[0] if value.ndim == 5 else value for key, value in found.items()}

    def load(self) -> torch.nn.Module:
        """Return the model with its weights.

        Raises
        ------
        ZslbenchError
            The weights lack tensors of the model, so that features would be random.
        """
        model = open_model(self.weights_file, self.type, trust_remote_code=self.params.trust_remote_code)
        network: torch.nn.Module = model.float()
        return network

    def forward(self, batch: Sequence[Mapping[str, NDArray[Any]]]) -> NDArray[Any]:
        """Return (n * rows_per_clip, D): every clip's feature, followed by those of its patches if they are wanted."""
        join = np.stack if self.type.video else np.concatenate
        inputs = {key: join([each[key] for each in batch]) for key in batch[0]}
        rows = self.run(self._patches if self.params.tokens == "patch" else self._pooled, inputs)
        if self._unit:
            rows = unit_rows(rows)
        if self.params.tokens == "patch" or self.type.video:
            return np.asarray(rows).reshape(-1, rows.shape[-1])
        return clip_means(rows, [len(next(iter(each.values()))) for each in batch])

    @property
    def _unit(self) -> bool:
        chosen = self.params.normalise
        return has_text_tower(self.network) if chosen is None else bool(chosen)

    def _pooled(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        network: Any = self.network
        kinds = ("video", "image") if self.type.video else ("image",)
        for get in (getattr(network, f"get_{kind}_features", None) for kind in kinds):
            if get is not None:
                return pooled(get(**inputs))
        outputs = network(**inputs, **dict(self.type.options))
        if self.type.pooled == "pooler":
            return pooled(outputs)
        hidden: torch.Tensor = outputs.last_hidden_state
        return hidden[:, 0] if self.type.pooled == "first" else hidden.mean(dim=1)

    def _patches(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return (n, 1 + patches, D): the pooled feature, then the patches through the same norm and projection."""
        import torch

        network: Any = self.network
        if self.type.front is None:
            raise ZslbenchError(
                f"{self.config.model_type} has no features per patch; leave out --set backbone.tokens=patch."
            )
        tower = getattr(network, "vision_model", network)
        hidden = tower(**inputs, **dict(self.type.options)).last_hidden_state[:, self.type.front :]
        if hasattr(network, "visual_projection"):
            hidden = network.visual_projection(tower.post_layernorm(hidden))
        first = self._pooled(inputs)
        return torch.cat([first[:, None], hidden], dim=1)


def open_model(folder: Path, kind: ModelType | None = None, *, trust_remote_code: bool = False) -> Any:
    """Return a model with its weights, in evaluation mode.

    Raises
    ------
    ZslbenchError
        The folder cannot be read, or its weights do not fit its configuration.
    """
    transformers = require("transformers", EXTRA)
    quiet(transformers)
    with reading(folder / CONFIG, "copy the model again", says=f"the model in {folder} cannot be loaded"):
        model, told = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True,
            ignore_mismatched_sizes=True, trust_remote_code=trust_remote_code,
        )  # fmt: skip
    unread = ("pooler.",) if kind and kind.pooled != "pooler" else ()  # of models that were saved without a pooler
    missing = [key for key in told["missing_keys"] if not key.startswith(unread)]
    refuse_misfit(folder, CONFIG, missing, told["mismatched_keys"], _more_layers(model, told["unexpected_keys"]))
    return model.eval()


def _more_layers(model: Any, unexpected: Iterable[str]) -> list[str]:
    """Return the tensors of further layers of a stack that the model has; heads that it lacks are left out on purpose.

    The model would compute with its first layers only.
    """
    layers = [found for name in model.state_dict() if (found := _LAYER.match(name))]
    known, stacks = {each[0] for each in layers}, {each[1] for each in layers}
    named = ((name, _LAYER.match(name)) for name in unexpected)
    return [name for name, found in named if found and found[1] in stacks and found[0] not in known]


def pooled(outputs: Outputs) -> torch.Tensor:
    """Return the pooled features of a model's outputs; before transformers 5 some are returned as they are.

    Raises
    ------
    ZslbenchError
        The model has none: it gives a vector per token, or no vector.
    """
    found: torch.Tensor | None = outputs if hasattr(outputs, "shape") else getattr(outputs, "pooler_output", None)
    if found is None or found.ndim != 2:
        raise ZslbenchError(
            f"this model gives no single vector per image, clip or text, but {_shape_of(found)}; use another model, "
            f"such as CLIP, SigLIP or X-CLIP."
        )
    return found


def _shape_of(found: torch.Tensor | None) -> str:
    return "other outputs" if found is None else f"an array of the shape {tuple(found.shape)}"


def has_text_tower(model: Any) -> bool:
    """Return whether a model embeds texts."""
    return hasattr(model, "get_text_features")


def load_config(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Return the configuration of a model in a folder.

    Raises
    ------
    ZslbenchError
        It cannot be read, or its model type needs code that comes with it.
    """
    transformers = require("transformers", EXTRA)
    quiet(transformers)
    values = read_json(folder / CONFIG, "copy it from the model again")
    if "auto_map" in values and not trust_remote_code and values.get("model_type") not in TYPES:
        raise ZslbenchError(
            f"{folder} needs Python code that comes with the model; if you trust it, add --trust-remote-code."
        )
    with reading(folder / CONFIG, "copy it from the model again, or use a newer transformers"):
        return transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )


def model_type(config: Any) -> ModelType:
    """Return what the model type of a configuration has of its own.

    Raises
    ------
    ZslbenchError
        It is no model of images or videos with features that are known.
    """
    name = config.model_type
    transformers = require("transformers", EXTRA)
    if name in TYPES:
        if major_version(transformers) < TYPES[name].since:
            raise ZslbenchError(
                f"a model of the type {name} needs transformers {TYPES[name].since}, not {transformers.__version__}; "
                f"run pip install -U transformers."
            )
        return TYPES[name]
    with reading(Path(name), "use another model", says=f"transformers has no model of the type {name}"):
        cls = transformers.AutoModel._model_mapping[type(config)]  # noqa: SLF001 - the only way from a type to its class
    if has_text_tower(cls) and (hasattr(cls, "get_image_features") or hasattr(cls, "get_video_features")):
        return ModelType(video=hasattr(cls, "get_video_features"), front=None, trained_on=WEB)
    raise ZslbenchError(
        f"a model of the type {name} has no get_image_features or get_video_features beside get_text_features; models "
        f"that are known besides: {', '.join(sorted(TYPES))}."
    )
