"""Tiny models of transformers with random weights, each with the processor and tokenizer of its type."""

import json

import pytest
import torch
from clip_made import write_tokenizer

transformers = pytest.importorskip("transformers")
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
IMAGE = {"image_size": 32, "patch_size": 8}
PROCESSOR = {
    "do_resize": True, "size": {"shortest_edge": 32}, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255,
    "do_center_crop": True, "crop_size": {"height": 32, "width": 32},
    "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4],
}  # fmt: skip
SQUARE = {**PROCESSOR, "size": {"height": 32, "width": 32}, "do_center_crop": False}


def _text(size):
    ends = {"bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1}
    return {**TOWER, **ends, "vocab_size": size, "max_position_embeddings": 77}


def _two_towers(name, size, text=None, vision=None, **more):
    return getattr(transformers, name)(
        text_config={**_text(size), **(text or {})}, vision_config={**TOWER, **IMAGE, **(vision or {})}, **more
    )


def _bert(size):
    return {**TOWER, "vocab_size": size, "max_position_embeddings": 80, "pad_token_id": 0}


def configs(size):
    """Return model type -> (configuration, processor's type, processor's values)."""
    project = {"projection_dim": 24}
    video = {**TOWER, **IMAGE, "num_frames": 4}
    square = {"image_size": 32, "vision_use_head": True}
    return {
        "clip": (_two_towers("CLIPConfig", size, project, project, **project), "CLIPImageProcessor", PROCESSOR),
        "metaclip_2": (
            _two_towers("MetaClip2Config", size, project, project, **project), "CLIPImageProcessor", PROCESSOR,
        ),
        "chinese_clip": (
            transformers.ChineseCLIPConfig(
                text_config=_bert(size), vision_config={**TOWER, **IMAGE, **project}, **project
            ),
            "ChineseCLIPImageProcessor", PROCESSOR,
        ),
        "altclip": (
            transformers.AltCLIPConfig(
                text_config={**_bert(size), "project_dim": 24}, vision_config={**TOWER, **IMAGE, **project}, **project
            ),
            "CLIPImageProcessor", PROCESSOR,
        ),
        "align": (
            transformers.AlignConfig(
                text_config=_bert(size), projection_dim=24,
                vision_config={
                    "image_size": 32, "width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 24,
                    "in_channels": [32], "out_channels": [16], "kernel_sizes": [3], "strides": [1],
                    "expand_ratios": [1], "num_block_repeats": [1], "depthwise_padding": [],
                },
            ),
            "EfficientNetImageProcessor", {**SQUARE, "include_top": False},
        ),
        "siglip": (
            _two_towers("SiglipConfig", size, {"max_position_embeddings": 16}, square), "SiglipImageProcessor", SQUARE,
        ),
        "siglip2": (
            transformers.Siglip2Config(
                text_config={**_text(size), "max_position_embeddings": 16},
                vision_config={**TOWER, "patch_size": 8, "num_patches": 16},
            ),
            "Siglip2ImageProcessor", {"patch_size": 8, "max_num_patches": 16},
        ),
        "xclip": (
            _two_towers(
                "XCLIPConfig", size, project,
                {
                    **project, "num_frames": 4, "mit_hidden_size": 24, "mit_intermediate_size": 48,
                    "mit_num_attention_heads": 4,
                },
                prompt_num_attention_heads=4, **project,
            ),
            "CLIPImageProcessor", PROCESSOR,
        ),
        "videomae": (transformers.VideoMAEConfig(**video), "VideoMAEImageProcessor", PROCESSOR),
        "timesformer": (transformers.TimesformerConfig(**video), "VideoMAEImageProcessor", PROCESSOR),
        "vivit": (transformers.VivitConfig(**video, tubelet_size=[2, 8, 8]), "VivitImageProcessor", PROCESSOR),
        "vjepa2": (
            transformers.VJEPA2Config(
                crop_size=32, patch_size=8, frames_per_clip=4, hidden_size=32, num_hidden_layers=2,
                num_attention_heads=4, pred_hidden_size=32, pred_num_hidden_layers=1, pred_num_attention_heads=4,
            ),
            "VJEPA2VideoProcessor", {"crop_size": 32},
        ),
        "dinov2": (transformers.Dinov2Config(**TOWER, **IMAGE), "BitImageProcessor", PROCESSOR),
        "vit": (transformers.ViTConfig(**TOWER, **IMAGE), "ViTImageProcessor", SQUARE),
    }  # fmt: skip


def write_model(folder, kind):
    """Write a tiny model of a type into a folder, as transformers saves it, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    size = write_tokenizer(folder)
    config, processor, values = configs(size)[kind]
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
        elif "norm" in name and "weight" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.save_pretrained(folder)
    of_video = processor.endswith("VideoProcessor")
    key, file = ("video_processor_type", "video_preprocessor") if of_video else ("image_processor_type", "preprocessor")
    (folder / f"{file}_config.json").write_text(json.dumps({key: processor, **values}))
    return folder
