"""Models of transformers: features against transformers' own call, preprocessing, and what is refused."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from models_made import PROCESSOR, configs, write_model
from videos_rendered import make_videos

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import feature_path
from zslbench.video.backbones.transformers_model import TransformersModel, model_type
from zslbench.video.model_files import load_processor
from zslbench.video.model_types import TYPES
from zslbench.video.recipe import make_recipe
from zslbench.video.text_tower import TextTower

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.versions
MAJOR = int(transformers.__version__.split(".")[0])
NEW = pytest.mark.skipif(MAJOR < 5, reason="transformers 4 has another code of it")
CHINESE = pytest.param("chinese_clip", marks=NEW)
IMAGES = ("clip", "metaclip_2", CHINESE, "altclip", "align", "siglip", "siglip2")
VIDEOS = ("videomae", "timesformer", "vivit", pytest.param("vjepa2", marks=NEW))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a function of a model type to the folder of a tiny model, which is written once."""
    root = tmp_path_factory.mktemp("models")

    def of(kind):
        return root / kind if (root / kind).is_dir() else write_model(root / kind, kind)

    return of


def frames(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 40, 60, 3), dtype=np.uint8)


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def theirs(folder, call):
    """Return the array that a function of transformers' own model gives."""
    with torch.no_grad():
        found = call(transformers.AutoModel.from_pretrained(folder).eval())
    return (found if isinstance(found, torch.Tensor) else found.pooler_output).double().numpy()


@pytest.mark.parametrize("kind", IMAGES)
def test_a_frame_has_the_unit_features_of_get_image_features(folder, kind):
    backbone = TransformersModel(weights=folder(kind), device="cpu")
    clips = [frames(1), frames(2, seed=1)]
    got = backbone.extract(clips)
    images = [*clips[0], *clips[1]]
    inputs = load_processor(folder(kind))(images=images, return_tensors="pt")
    expected = unit(theirs(folder(kind), lambda model: model.get_image_features(**inputs)))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [expected[0], expected[1:].mean(axis=0)], atol=1e-5)
    assert backbone.trained_on == ("web-captions",)
    told = TransformersModel({"trained_on": "kinetics400"}, weights=folder(kind), device="cpu")
    assert told.trained_on == ("kinetics400", "web-captions")


@NEW
def test_a_clip_has_the_unit_features_of_get_video_features(folder):
    backbone = TransformersModel(weights=folder("xclip"), device="cpu")
    clip = frames(4)
    pixels = load_processor(folder("xclip"))(images=list(clip), return_tensors="pt")["pixel_values"][None]
    expected = unit(theirs(folder("xclip"), lambda model: model.get_video_features(pixel_values=pixels)))
    np.testing.assert_allclose(backbone.extract([clip]), expected, atol=1e-5)
    assert backbone.trained_on == ("web-captions",)


@pytest.mark.parametrize("kind", VIDEOS)
def test_a_video_model_without_texts_gives_its_class_token_or_the_mean_of_its_tokens(folder, kind):
    key = "pixel_values_videos" if kind == "vjepa2" else "pixel_values"
    backbone = TransformersModel(weights=folder(kind), device="cpu")
    pixels = np.random.default_rng(0).normal(size=(2, 4, 3, 32, 32)).astype(np.float32)
    got = backbone.forward([{key: one} for one in pixels])
    with torch.no_grad():
        model = transformers.AutoModel.from_pretrained(folder(kind)).eval()
        hidden = model(**{key: torch.from_numpy(pixels)}).last_hidden_state.numpy()
    expected = hidden[:, 0] if kind in ("timesformer", "vivit") else hidden.mean(axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-5)  # not scaled: no text tower is to be compared with them
    assert (backbone.clip_len, backbone.kind, backbone.trained_on) == (4, "clip", ("unknown",))
    told = TransformersModel({"trained_on": "kinetics400"}, weights=folder(kind), device="cpu")
    assert told.trained_on == ("kinetics400",)


@pytest.mark.parametrize("kind", ["dinov2", "vit"])
def test_an_image_model_without_texts_gives_its_class_token(folder, kind):
    got = TransformersModel(weights=folder(kind), device="cpu").extract([frames(1)])
    inputs = load_processor(folder(kind))(images=list(frames(1)), return_tensors="pt")
    with torch.no_grad():
        expected = transformers.AutoModel.from_pretrained(folder(kind)).eval()(**inputs).last_hidden_state[:, 0]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "count"), [("clip", 16), ("siglip", 16), ("dinov2", 16), ("videomae", 32)])
def test_patches_follow_the_pooled_feature(folder, kind, count):
    clip = frames(4 if kind == "videomae" else 1)
    one = TransformersModel({"normalise": False}, weights=folder(kind), device="cpu")
    every = TransformersModel({"tokens": "patch", "normalise": False}, weights=folder(kind), device="cpu")
    rows = every.extract([clip, clip[:, ::-1]])
    assert every.rows_per_clip == 1 + count
    np.testing.assert_allclose(rows[:: 1 + count], one.extract([clip, clip[:, ::-1]]), atol=1e-5)
    if kind == "videomae":  # its pooled feature is the mean of its tubes
        np.testing.assert_allclose(rows[1 : 1 + count].mean(axis=0), rows[0], atol=1e-5)


def test_preprocessing_is_that_of_the_models_processor_and_part_of_the_identity(folder, tmp_path):
    from PIL import Image

    clip = frames(1)
    got = TransformersModel(weights=folder("clip")).preprocess(clip)["pixel_values"][0]
    small = np.asarray(Image.fromarray(clip[0]).resize((48, 32), Image.Resampling.BICUBIC))[:, 8:40]
    expected = (small / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.3, 0.4])
    np.testing.assert_allclose(got, expected.transpose(2, 0, 1), atol=1e-5)
    other = tmp_path / "other"
    shutil.copytree(folder("clip"), other)
    values = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").write_text(json.dumps(values | {"image_mean": [0.5, 0.5, 0.5]}))
    first, second = (TransformersModel(weights=path) for path in (folder("clip"), other))
    assert first.weights_digest == second.weights_digest
    assert first.describe() != second.describe()


@pytest.mark.parametrize("kind", ["clip", "siglip", CHINESE, pytest.param("xclip", marks=NEW)])
def test_texts_have_the_unit_features_of_get_text_features(folder, kind):
    path = folder(kind)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    padding = {"padding": "max_length", "max_length": 16, "truncation": True} if kind == "siglip" else {"padding": True}
    tokens = tokenizer(["run", "do it"], return_tensors="pt", **padding)
    expected = unit(theirs(path, lambda model: model.get_text_features(**tokens)))
    np.testing.assert_allclose(TextTower(path).encode(["run", "do it"]), expected, atol=1e-5)


def test_siglip_sees_texts_in_lower_case_whatever_its_tokenizer_does(folder, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = {letter: place for place, letter in enumerate(letters + letters.upper(), start=1)} | {"<pad>": 0}
    spelling = Tokenizer(models.BPE(vocab=words, merges=[]))
    spelling.pre_tokenizer = pre_tokenizers.Whitespace()
    same = {}
    for kind in ("siglip", "clip"):
        shutil.copytree(folder(kind), path := tmp_path / kind)
        for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
            (path / name).unlink()
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=spelling, pad_token="<pad>", model_input_names=["input_ids"]
        ).save_pretrained(path)
        small, large = TextTower(path).encode(["ride bike", "Ride Bike"])
        same[kind] = bool(np.allclose(small, large, atol=1e-6))
        tokens = transformers.AutoTokenizer.from_pretrained(path)(
            "ride bike", return_tensors="pt", padding=kind != "clip" and "max_length", max_length=16
        )["input_ids"]
        expected = unit(theirs(path, lambda model, tokens=tokens: model.get_text_features(input_ids=tokens)))
        np.testing.assert_allclose([small], expected, atol=1e-5)
    assert same == {"siglip": True, "clip": False}


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_weights_of_half_precision_are_computed_in_float32_by_both_towers(folder, tmp_path, kind):
    half, full = tmp_path / "half", tmp_path / "full"
    for path, dtype in ((half, torch.bfloat16), (full, torch.float32)):
        shutil.copytree(folder(kind), path)
        transformers.AutoModel.from_pretrained(folder(kind)).to(torch.bfloat16).to(dtype).save_pretrained(path)
    texts, images = (
        [encode(path) for path in (half, full)]
        for encode in (
            lambda path: TextTower(path).encode(["run", "do it"]),
            lambda path: TransformersModel(weights=path, device="cpu").extract([frames(1)]),
        )
    )
    np.testing.assert_allclose(*texts, atol=1e-6)
    np.testing.assert_allclose(*images, atol=1e-6)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_folder_without_the_files_of_a_tokenizer_makes_no_class_vectors(folder, tmp_path, kind):
    shutil.copytree(folder(kind), tmp_path / "bare")
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (tmp_path / "bare" / name).unlink()
    with pytest.raises(ZslbenchError, match="has no tokenizer"):
        TextTower(tmp_path / "bare")


def test_a_long_text_is_cut_to_the_positions_that_roberta_leaves(folder):
    tower = TextTower(folder("altclip"))  # the position of the padding is never a token's
    assert (tower.limit, tower.encode(["x y " * 99]).shape, tower.cut) == (79, (1, 24), 1)
    assert TextTower(folder("chinese_clip" if MAJOR >= 5 else "align")).limit == 80


def test_a_model_whose_features_are_a_vector_per_token_is_refused(tmp_path):
    towers = {"text_config": {"vocab_size": 99}, "image_config": {"image_size": 32, "patch_size": 8}}
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = transformers.FlavaConfig(
        **{key: value | small for key, value in towers.items()}, multimodal_config=small, image_codebook_config={},
        projection_dim=24, hidden_size=32,
    )  # fmt: skip
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "CLIPImageProcessor", **PROCESSOR})
    )
    with pytest.raises(ZslbenchError, match=r"no single vector .* of the shape \(1, 17, 24\)"):
        TransformersModel(weights=tmp_path, device="cpu").extract([frames(1)])


def test_a_model_without_a_text_tower_makes_no_class_vectors(folder):
    with pytest.raises(ZslbenchError, match="is a videomae, which has no text tower"):
        TextTower(folder("videomae"))


def test_a_model_that_lacks_tensors_is_refused_since_its_features_would_be_random(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(folder("clip"), broken)
    held = load_file(broken / "model.safetensors")
    held.pop("visual_projection.weight")
    save_file(held, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ZslbenchError, match=r"lack visual_projection\.weight: they and config\.json are not of one model"
    ):
        TransformersModel(weights=broken).extract([frames(1)])


def test_a_configuration_of_another_model_is_refused_with_the_tensors_that_do_not_fit(folder, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(folder("clip"), mixed)
    values = json.loads((mixed / "config.json").read_text())
    values["vision_config"] |= {"patch_size": 16, "num_hidden_layers": 3}
    (mixed / "config.json").write_text(json.dumps(values))
    for load in (lambda: TransformersModel(weights=mixed).extract([frames(1)]), lambda: TextTower(mixed)):
        with pytest.raises(ZslbenchError) as caught:
            load()
        says = str(caught.value)
        assert "\n" not in says
        assert re.search(r"lack vision_model\.encoder\.layers\.2\.\S+(, \S+){3} and 12 more", says)
        shapes = (
            r"of another shape" if transformers.__version__ < "5" else r"\(32, 3, 8, 8\) instead of \(32, 3, 16, 16\)"
        )
        assert re.search(rf"patch_embedding\.weight {shapes}", says)
        assert "they and config.json are not of one model" in says


def test_weights_with_more_layers_than_the_configuration_are_refused_but_not_those_with_a_classifier(folder, tmp_path):
    shutil.copytree(folder("clip"), deep := tmp_path / "deep")
    values = json.loads((deep / "config.json").read_text())
    values["text_config"]["num_hidden_layers"] = 1
    (deep / "config.json").write_text(json.dumps(values))
    with pytest.raises(ZslbenchError, match=r"have unknown text_model\.encoder\.layers\.1\.\S+(, \S+){3} and 12 more"):
        TextTower(deep)
    classifier = transformers.AutoModelForImageClassification.from_config(configs(514)["vit"][0])
    shutil.copytree(folder("vit"), tmp_path / "vit")
    classifier.save_pretrained(tmp_path / "vit")
    assert TransformersModel(weights=tmp_path / "vit", device="cpu").extract([frames(1)]).shape == (1, 32)


@pytest.mark.slow
def test_the_room_on_the_disk_is_told_and_patches_take_half_of_it_per_value(folder, tmp_path, zslbench):
    make_videos(tmp_path / "videos", per_class=1)
    zslbench("datasets", "add", "moves", "--videos", tmp_path / "videos")
    line = ("extract", "--dataset", "moves", "--videos", tmp_path / "videos", "--model", folder("clip"), "--limit", "1")
    _, _, err = zslbench(*line, "--name", "frames")
    assert "768 bytes of float32 features" in err  # 8 frames of 24 values of 4 bytes
    code, _, err = zslbench(*line, "--name", "patches", "--set", "backbone.tokens=patch")
    assert code == 0, err
    assert "6.5 kB of float16 features" in err  # 8 frames of 17 rows of 24 values of 2 bytes
    frames, patches = (open_features(get_dataset("moves"), name) for name in ("frames", "patches"))
    assert (frames.manifest.dtype, patches.manifest.dtype) == ("float32", "float16")
    rows = [np.load(feature_path("moves", name) / "features.npy") for name in ("frames", "patches")]
    np.testing.assert_allclose(rows[1][::17], rows[0], atol=1e-3)


def test_a_folder_without_a_processor_is_refused(folder, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(folder("clip"), bare)
    (bare / "preprocessor_config.json").unlink()
    with pytest.raises(ZslbenchError, match="has no processor of images or videos"):
        TransformersModel(weights=bare).extract([frames(1)])


def test_a_model_of_texts_alone_and_code_of_a_model_are_refused(folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ZslbenchError, match="type bert has no get_image_features"):
        _ = TransformersModel(weights=tmp_path).kind
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": {"AutoModel": "m.Mine"}}))
    with pytest.raises(ZslbenchError, match="needs Python code .* add --trust-remote-code"):
        _ = TransformersModel(weights=tmp_path).kind


def test_a_type_whose_code_does_not_work_in_this_version_is_refused(folder, monkeypatch):
    monkeypatch.setattr("zslbench.video.backbones.transformers_model.major_version", lambda _: 4)
    with pytest.raises(ZslbenchError, match=r"type xclip needs transformers 5, not"):
        model_type(transformers.XCLIPConfig())


def test_a_video_model_takes_clips_of_its_own_length_only(folder):
    made = make_recipe("transformers", weights=folder("videomae"))
    assert (made.sampler, made.sampling["clip_len"]) == ("clips", 4)
    with pytest.raises(ZslbenchError, match=r"takes clips of 4 frames.*use --set sampler\.clip_len=4"):
        make_recipe("transformers", weights=folder("videomae"), settings={"sampler": {"clip_len": 1}})
    assert make_recipe("transformers", weights=folder("clip")).sampler == "segments"


def test_other_image_text_models_are_taken_by_what_they_can_do():
    group = transformers.GroupViTConfig()
    assert model_type(group).front is None
    assert not model_type(group).video


def test_every_type_of_the_table_is_known_to_transformers_or_too_new_for_it():
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    assert set(TYPES) - set(CONFIG_MAPPING_NAMES) <= {"videoprism"}
    assert set(configs(514)) <= set(TYPES)


@pytest.mark.slow
def test_from_videos_to_a_table_by_one_model_in_three_commands(folder, tmp_path, zslbench):
    make_videos(tmp_path / "videos", per_class=2)
    line = ("--dataset", "moves", "--model", folder("clip"))
    for command in (
        ("datasets", "add", "moves", "--videos", tmp_path / "videos"),
        ("extract", *line, "--videos", tmp_path / "videos", "--name", "tiny"),
        ("semantics", "import", "own", *line, "--template", "a video of {}", "--template", "{}"),
    ):
        code, _, err = zslbench(*command)
        assert code == 0, err
    line = ("--dataset", "moves", "--features", "tiny", "--family", "random-50/50", "--splits", "1", "--no-track")
    code, out, err = zslbench("run", "--method", "nearest-text", *line, "--results", tmp_path / "runs")
    assert code == 0, err
    assert "class vectors own, of the same model as moves@tiny" in err
    assert "class vectors own" in out
