"""Tiny models of open_clip with random weights, as a repository of the hub holds them."""

import json

import pytest
import torch
from clip_made import write_tokenizer

try:
    import open_clip
except Exception as error:  # torchvision beside another torch raises more than ImportError
    pytest.skip(f"open_clip cannot be imported: {error}", allow_module_level=True)

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
PREPROCESS = {"mean": MEAN, "std": STD, "interpolation": "bilinear", "resize_mode": "squash"}
VISION = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 8}
TEXT = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2}
# Tokens by transformers, here of CLIP's vocabulary without a merge, and a tower that reads the last one, as SigLIP's.
WRAPPED = {
    "hf_tokenizer_name": "tiny/siglip", "tokenizer_kwargs": {"clean": "canonicalize"}, "context_length": 24,
    "no_causal_mask": True, "pool_type": "last", "proj_bias": True,
}  # fmt: skip
CONFIGS = {
    "clip": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT},
    "siglip": {
        "embed_dim": 24, "init_logit_bias": -10, "custom_text": True, "vision_cfg": VISION,
        "text_cfg": {**TEXT, **WRAPPED},
    },
    "coca": {
        "embed_dim": 24, "custom_text": True, "vision_cfg": {**VISION, "attentional_pool": True, "output_tokens": True},
        "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2},
    },
    "timm": {
        "embed_dim": 24, "custom_text": True, "text_cfg": TEXT,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear", "image_size": 160},
    },
}  # fmt: skip


def write_open_clip(folder, kind="clip"):
    """Write a tiny model into a folder, as open_clip saves it, and return the folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads(json.dumps(CONFIGS[kind]))
    if kind == "siglip":
        config["text_cfg"]["vocab_size"] = write_tokenizer(folder)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": PREPROCESS}))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    state = {name: each.contiguous() for name, each in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder
