"""Models of open_clip: features against open_clip's own calls, and what is refused.

Skipped where open_clip cannot be imported: it needs a torchvision that was made for the torch beside it.
"""

import json
import logging
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip_made import CONFIGS, MEAN, STD, open_clip, write_open_clip
from PIL import Image
from safetensors.torch import load_file, save_file
from videos_rendered import make_videos

from zslbench.errors import ZslbenchError
from zslbench.video.backbones.open_clip_model import OpenClip
from zslbench.video.model_files import fetch_model, weights_digest
from zslbench.video.recipe import make_recipe
from zslbench.video.text_tower import TextTower, tower_encoder

KINDS = tuple(CONFIGS)
WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a function of a kind to the folder of a tiny model, which is written once."""
    root = tmp_path_factory.mktemp("models")

    def of(kind):
        return root / kind if (root / kind).is_dir() else write_open_clip(root / kind, kind)

    return of


@pytest.fixture
def copied(folder, tmp_path):
    """Return a function of a kind and changes of its model_cfg to a changed copy."""

    def of(kind, **changes):
        shutil.copytree(folder(kind), tmp_path / kind)
        values = json.loads((tmp_path / kind / CONFIG).read_text())
        for tower, keys in changes.items():
            values["model_cfg"][tower] |= keys
        (tmp_path / kind / CONFIG).write_text(json.dumps(values))
        return tmp_path / kind

    return of


def frames(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 40, 60, 3), dtype=np.uint8)


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_has_the_unit_features_of_encode_image_after_open_clips_own_preprocessing(folder, kind):
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder(kind)}")
    clips = [frames(1), frames(2, seed=1)]
    with torch.no_grad():
        images = torch.stack([transform(Image.fromarray(frame)) for clip in clips for frame in clip])
        expected = unit(model.eval().encode_image(images))
    backbone = OpenClip(weights=folder(kind), device="cpu")
    got = backbone.extract(clips)
    assert (got.dtype, backbone.dim, backbone.trained_on) == (np.float32, 24, ("web-captions",))
    np.testing.assert_allclose(got, [expected[0], expected[1:].mean(axis=0)], atol=1e-5)


def test_it_travels_with_its_preprocessing_and_without_its_network(folder):
    backbone = OpenClip(weights=folder(KINDS[0]), device="cpu")
    again = pickle.loads(pickle.dumps(backbone))
    np.testing.assert_array_equal(again.preprocess(frames(2)), backbone.preprocess(frames(2)))
    assert "network" not in vars(again)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_have_the_unit_features_of_encode_text(folder, kind):
    texts = ["a video of run", "Do it, now!", "x " * 40]
    model = open_clip.create_model(f"local-dir:{folder(kind)}").eval()
    with torch.no_grad():
        expected = unit(model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder(kind)}")(texts)))
    np.testing.assert_allclose(TextTower(folder(kind)).encode(texts), expected, atol=1e-5)


def test_preprocessing_is_that_of_the_files_preprocess_cfg_and_part_of_the_identity(folder, copied):
    clip = frames(1)
    first = OpenClip(weights=folder("clip"), device="cpu")
    small = np.asarray(Image.fromarray(clip[0]).resize((32, 32), Image.Resampling.BILINEAR))  # squash
    np.testing.assert_allclose(first.preprocess(clip)[0], ((small / 255 - MEAN) / STD).transpose(2, 0, 1), atol=1e-5)
    other = copied("clip")
    values = json.loads((other / CONFIG).read_text())
    values["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
    (other / CONFIG).write_text(json.dumps(values))
    second = OpenClip(weights=other)
    assert first.weights_digest == second.weights_digest
    assert first.describe() != second.describe()


@pytest.mark.parametrize(("kind", "fits"), [("clip", "x " * 18), ("siglip", "x " * 22)])
def test_texts_longer_than_the_context_are_counted(folder, kind, fits):
    tower = TextTower(folder(kind))
    tower.encode([fits, "run"])
    assert (tower.cut, tower.notes()) == (0, [])
    tower.encode([fits + "x", "run"])
    assert (tower.cut, tower.notes()) == (1, [f"1 text was cut after {tower.limit} tokens"])
    assert tower.limit == CONFIGS[kind]["text_cfg"]["context_length"]


def test_a_reduction_of_training_never_thins_a_text_at_random(folder, copied):
    reduced = copied("clip", text_cfg={"tokenizer_kwargs": {"reduction_mask": "random"}})
    texts = [" ".join("abcdefghijklmnopqrstuvwxyz")]
    np.testing.assert_allclose(TextTower(reduced).encode(texts), TextTower(folder("clip")).encode(texts), atol=1e-6)


def test_features_and_class_vectors_have_the_digest_of_the_same_weights(folder):
    files = fetch_model(str(folder("clip")))
    assert (files.layout.backbone, make_recipe("open-clip", weights=files.folder).sampler) == ("open-clip", "segments")
    assert OpenClip(weights=files.folder).weights_digest == tower_encoder(files).weights == weights_digest(files.folder)


def test_pickled_weights_beside_the_safetensors_are_not_read(copied):
    path = copied("clip")
    for name in ("open_clip_pytorch_model.bin", "pytorch_model.bin", "a.pth"):
        (path / name).write_bytes(pickle.dumps(Opened(str(path / "opened"))))
    OpenClip(weights=path, device="cpu").extract([frames(1)])
    assert not (path / "opened").exists()
    (path / WEIGHTS).unlink()
    with pytest.raises(ZslbenchError, match=r"has no open_clip_model\.safetensors; pickled weights are not read"):
        OpenClip(weights=path)


class Opened:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


@pytest.mark.parametrize(
    ("tower", "keys", "says"),
    [
        ("vision_cfg", {"layers": 3}, r"lack visual\.transformer\.resblocks\.2\.\S+, \S+, \S+, \S+ and 8 more"),
        ("vision_cfg", {"layers": 1}, r"have unknown visual\.transformer\.resblocks\.1\.\S+, \S+, \S+, \S+ and 8 more"),
        ("vision_cfg", {"image_size": 64}, r"have visual\.positional_embedding \(17, 32\) instead of \(65, 32\)"),
        ("text_cfg", {"context_length": 16}, r"have positional_embedding \(20, 32\) instead of \(16, 32\)"),
        ("vision_cfg", {"patch_size": 16}, r"visual\.conv1\.weight \(32, 3, 8, 8\) instead of \(32, 3, 16, 16\)"),
    ],
)
def test_a_configuration_of_another_model_is_refused_with_the_tensors_that_do_not_fit(copied, tower, keys, says):
    path = copied("clip", **{tower: keys})
    for load in (lambda: OpenClip(weights=path, device="cpu").extract([frames(1)]), lambda: TextTower(path)):
        with pytest.raises(ZslbenchError, match=says) as caught:
            load()
        assert "they and open_clip_config.json are not of one model" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_scale_may_be_a_number_or_an_array_of_one(folder, copied):
    path = copied("clip")
    held = load_file(path / WEIGHTS)
    held["logit_scale"] = held["logit_scale"].reshape(1)
    save_file(held, path / WEIGHTS)
    np.testing.assert_array_equal(TextTower(path).encode(["run"]), TextTower(folder("clip")).encode(["run"]))


def test_weights_of_half_precision_are_computed_in_float32_by_both_towers(folder, tmp_path):
    half, full = tmp_path / "half", tmp_path / "full"
    for path, dtype in ((half, torch.bfloat16), (full, torch.float32)):
        shutil.copytree(folder("clip"), path)
        held = {name: each.to(torch.bfloat16).to(dtype) for name, each in load_file(path / WEIGHTS).items()}
        save_file(held, path / WEIGHTS)
    texts = [TextTower(path).encode(["run", "do it"]) for path in (half, full)]
    images = [OpenClip(weights=path, device="cpu").extract([frames(1)]) for path in (half, full)]
    np.testing.assert_allclose(*texts, atol=1e-6)
    np.testing.assert_allclose(*images, atol=1e-6)


@pytest.mark.parametrize(
    ("tower", "key", "name"),
    [("text_cfg", "hf_model_name", "xlm-roberta-base"), ("vision_cfg", "timm_model_name", "hf-hub:owner/model")],
)
def test_a_tower_of_another_repository_is_refused(copied, tower, key, name):
    path = copied("clip", **{tower: {key: name}})
    with pytest.raises(ZslbenchError, match=f"configured in another repository, {name}, of which no revision"):
        OpenClip(weights=path, device="cpu").extract([frames(1)])


def test_a_configuration_without_a_model_and_a_folder_without_a_tokenizer_are_refused(copied):
    path = copied("siglip")
    (path / "vocab.json").unlink()
    (path / "merges.txt").unlink()
    (path / "tokenizer_config.json").unlink()
    with pytest.raises(ZslbenchError, match="has no tokenizer"):
        TextTower(path)
    (path / CONFIG).write_text("{}")
    with pytest.raises(ZslbenchError, match="has no model_cfg with embed_dim, vision_cfg and text_cfg"):
        TextTower(path)


def test_loading_leaves_the_root_logger_as_it_was(folder, caplog):
    before = list(logging.getLogger().handlers), logging.root.manager.disable
    OpenClip(weights=folder("clip"), device="cpu").extract([frames(1)])
    assert (list(logging.getLogger().handlers), logging.root.manager.disable) == before
    assert not caplog.records


@pytest.mark.slow
def test_from_videos_to_a_table_by_one_model_and_class_vectors_of_another_are_refused(folder, tmp_path, zslbench):
    make_videos(tmp_path / "videos", per_class=2)
    other = write_open_clip(tmp_path / "other", "coca")
    for command in (
        ("datasets", "add", "moves", "--videos", tmp_path / "videos"),
        ("extract", "--dataset", "moves", "--videos", tmp_path / "videos", "--model", folder("clip"), "--name", "tiny"),
        ("semantics", "import", "own", "--dataset", "moves", "--model", folder("clip"), "--template", "a video of {}"),
        ("semantics", "import", "other", "--dataset", "moves", "--model", other, "--template", "a video of {}"),
    ):
        code, _, err = zslbench(*command)
        assert code == 0, err
    line = ("--dataset", "moves", "--features", "tiny", "--family", "random-50/50", "--splits", "1", "--no-track")
    code, out, err = zslbench("run", "--method", "nearest-text", *line, "--results", tmp_path / "runs")
    assert code == 0, err
    assert "class vectors own, of the same model as moves@tiny" in err
    assert "class vectors own" in out
    code, _, err = zslbench(
        "run", "--method", "nearest-text", *line, "--semantics", "other", "--results", tmp_path / "r"
    )
    assert code == 2
    assert "compares features with class vectors of one model, but moves@tiny is of weights" in err
