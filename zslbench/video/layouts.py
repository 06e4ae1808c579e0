"""How a model lies in a folder or a repository: as transformers saves it, or as open_clip does."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zslbench.files import read_json
from zslbench.video.model_types import TYPES


@dataclass(frozen=True)
class Layout:
    """The files of a model.

    Attributes
    ----------
    backbone
        The backbone that reads them.
    config
        The name of the configuration.
    weights
        The name of the weights, in safetensors.

    Examples
    --------
    >>> OPEN_CLIP.weights_in(["open_clip_config.json", "open_clip_model.safetensors", "model.safetensors"])
    ['open_clip_model.safetensors']
    >>> TRANSFORMERS.weights_in(["config.json", "model-00001-of-00002.safetensors"])
    ['model-00001-of-00002.safetensors']
    """

    backbone: str
    config: str
    weights: str

    def weights_in(self, names: Collection[str]) -> list[str]:
        """Return the names that are the weights, or parts of them."""
        if self.weights in names:
            return [self.weights]
        part = re.escape(self.weights).replace(r"\.", r"-\d+-of-\d+\.", 1)
        return sorted(name for name in names if re.fullmatch(part, name))


TRANSFORMERS = Layout("transformers", "config.json", "model.safetensors")
OPEN_CLIP = Layout("open-clip", "open_clip_config.json", "open_clip_model.safetensors")


def choose_layout(names: Collection[str], read_config: Callable[[], Mapping[str, Any]]) -> Layout:
    """Return the layout of a model by the names of its files: that of transformers, if it has both and can be read so.

    Parameters
    ----------
    names
        The files at the top of the folder or repository.
    read_config
        Returns the values of transformers' ``config.json``; it is called only if the names do not decide.

    Examples
    --------
    >>> both = [TRANSFORMERS.config, TRANSFORMERS.weights, OPEN_CLIP.config, OPEN_CLIP.weights]
    >>> choose_layout(both, lambda: {"model_type": "clip"}).backbone
    'transformers'
    >>> choose_layout(both, lambda: {"architecture": "vit_base_patch16_siglip_224"}).backbone  # one of timm
    'open-clip'
    """
    if OPEN_CLIP.config not in names:
        return TRANSFORMERS
    if TRANSFORMERS.config not in names or not TRANSFORMERS.weights_in(names):
        return OPEN_CLIP
    if not OPEN_CLIP.weights_in(names):
        return TRANSFORMERS
    config = read_config()
    own_code = "auto_map" in config
    return TRANSFORMERS if config.get("model_type") in TYPES and not own_code else OPEN_CLIP


def layout_of(folder: Path) -> Layout:
    """Return the layout of the model in a folder."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return choose_layout(names, lambda: read_json(folder / TRANSFORMERS.config, "copy it from the model again"))
