"""A tiny CLIP with random weights, in transformers' format."""

import json

import pytest
import torch

transformers = pytest.importorskip("transformers")
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def write_tokenizer(folder):
    """CLIP's byte-level vocabulary without any merge: every text can be written."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    return len(words)


def write_clip(folder):
    """Write a tiny CLIP with random weights, as transformers saves it, and return its folder."""
    size = write_tokenizer(folder)
    towers = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.CLIPConfig(
        text_config={
            **towers, "vocab_size": size, "max_position_embeddings": 77, "bos_token_id": size - 2,
            "eos_token_id": size - 1, "pad_token_id": size - 1, "projection_dim": 24,
        },
        vision_config={**towers, "image_size": 32, "patch_size": 8, "projection_dim": 24},
        projection_dim=24,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.CLIPModel(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
        elif "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({
            "do_resize": True, "size": {"shortest_edge": 32}, "resample": 3, "do_center_crop": True,
            "crop_size": {"height": 32, "width": 32}, "do_rescale": True, "rescale_factor": 1 / 255,
            "do_normalize": True, "image_mean": MEAN, "image_std": STD,
        })
    )  # fmt: skip
    return folder


def write_cached(cache, name):
    """Write a tiny CLIP into a cache of huggingface_hub, as if it had been fetched under this name."""
    commit = "57c216476eefef5ab752ec549e440a49ae4ae5f3"
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    write_clip(snapshot)
