"""Class vectors by CLIP's text tower."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from zslbench.digests import file_sha256
from zslbench.semantics.encoded import LocalEncoder


def clip_encoder(folder: Path) -> LocalEncoder:
    """Return the text tower of a CLIP model in transformers' format; nothing is downloaded.

    Raises
    ------
    ZslbenchError
        The folder lacks a file of the model.
    """
    from zslbench.video.backbones.clip import CONFIG, TEMPLATES, WEIGHTS, check_model_folder, class_vectors

    weights = file_sha256(check_model_folder(folder, (CONFIG, WEIGHTS)) / WEIGHTS)
    return LocalEncoder("CLIP's text tower", weights, TEMPLATES, partial(class_vectors, folder))
