"""CLIP from a local folder: the towers against transformers' own model, preprocessing, class vectors."""

import json

import numpy as np
import pytest
import torch
from clip_made import MEAN, STD, write_clip

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.prompts import read_template, read_templates
from zslbench.semantics.store import read_semantics_manifest
from zslbench.video.backbones.clip import Clip, read_preprocessor, unit_rows
from zslbench.video.text_tower import TEMPLATES, TextTower

pytestmark = pytest.mark.versions

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (1, *size, 3), dtype=np.uint8) for size in ((40, 60), (64, 33), (32, 32))]


@pytest.fixture
def model(folder):
    return transformers.CLIPModel.from_pretrained(folder).eval()


def test_the_frame_embedding_is_the_whole_models(folder, model, clips):
    backbone = Clip({"normalise": False}, weights=folder, device="cpu")
    got = backbone.extract(clips)
    pixels = torch.from_numpy(np.concatenate([backbone.preprocess(clip) for clip in clips]))
    with torch.no_grad():
        expected = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    assert got.shape == (3, backbone.dim) == (3, 24)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(Clip(weights=folder).extract(clips), unit_rows(got), rtol=1e-4, atol=1e-5)


def test_clip_was_trained_on_captions_whatever_else_is_declared(folder):
    assert Clip(weights=folder).trained_on == ("web-captions",)
    assert Clip({"trained_on": "kinetics400, unknown"}, weights=folder).trained_on == (
        "kinetics400", "unknown", "web-captions",
    )  # fmt: skip


def test_patch_tokens_follow_their_frame_through_the_same_projection(folder, model, clips):
    backbone = Clip({"tokens": "patch", "normalise": False, "batch_size": 2}, weights=folder, device="cpu")
    got = backbone.extract(clips)
    assert backbone.rows_per_clip == 1 + (32 // 8) ** 2
    assert got.shape == (3 * 17, 24)
    frames = Clip({"normalise": False}, weights=folder, device="cpu").extract(clips)
    np.testing.assert_allclose(got[::17], frames, rtol=1e-4, atol=1e-5)
    pixels = torch.from_numpy(backbone.preprocess(clips[1]))
    with torch.no_grad():
        hidden = model.vision_model(pixel_values=pixels).last_hidden_state[0]
        patch = model.visual_projection(model.vision_model.post_layernorm(hidden[1 + 4 * 2 + 3]))  # row 2, column 3
    np.testing.assert_allclose(got[17 + 1 + 4 * 2 + 3], patch, rtol=1e-4, atol=1e-5)


def test_a_clip_of_several_frames_is_the_mean_of_their_unit_embeddings(folder, clips):
    frames = np.concatenate([clips[0], clips[0][:, ::-1], clips[0][:, :, ::-1]])
    backbone = Clip(weights=folder, device="cpu")
    single = backbone.extract([frames[i : i + 1] for i in range(3)])
    np.testing.assert_allclose(backbone.extract([frames])[0], single.mean(axis=0), rtol=1e-4, atol=1e-5)
    with pytest.raises(ZslbenchError, match="clips of 1 frames"):
        Clip({"tokens": "patch"}, weights=folder).extract([frames])


def test_preprocessing_is_that_of_transformers_image_processor(folder, clips):
    processors = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = processors.CLIPImageProcessorPil.from_pretrained(folder)
    for clip in clips:
        theirs = processor(clip[0], return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(Clip(weights=folder).preprocess(clip)[0], theirs, atol=1e-5)


def test_preprocessing_resizes_by_pillows_bicubic_crops_the_middle_and_standardises(folder, clips):
    from PIL import Image

    small = np.asarray(Image.fromarray(clips[0][0]).resize((48, 32), Image.Resampling.BICUBIC))
    expected = (small[:, 8:40].astype(np.float64) / 255 - MEAN) / STD
    np.testing.assert_allclose(
        Clip(weights=folder).preprocess(clips[0])[0], expected.transpose(2, 0, 1), rtol=1e-4, atol=1e-5
    )


def test_old_preprocessing_files_with_plain_numbers_are_read(tmp_path):
    old = {"size": 224, "crop_size": 224, "resample": 3, "image_mean": MEAN, "image_std": STD}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    block = read_preprocessor(tmp_path / "preprocessor_config.json")
    assert (block.resize, block.crop, block.scale) == (224, 224, pytest.approx(255))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old | {"resample": 1}))
    with pytest.raises(ZslbenchError, match="resample 1"):
        read_preprocessor(tmp_path / "preprocessor_config.json")


def test_a_folder_that_lacks_files_says_which(folder, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ZslbenchError, match=r"lacks model\.safetensors, preprocessor_config\.json; .*nothing is downl"):
        Clip(weights=tmp_path)


def test_the_weights_digest_is_the_files_and_the_description_follows_the_configuration(folder, tmp_path):
    import hashlib
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    first = Clip(weights=folder)
    assert first.weights_digest == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert Clip(weights=copy).describe() == first.describe()
    values = json.loads((copy / "config.json").read_text())
    values["vision_config"]["hidden_act"] = "gelu"
    (copy / "config.json").write_text(json.dumps(values))
    assert Clip(weights=copy).describe() != first.describe()


def test_class_vectors_are_the_unit_mean_of_the_templates_unit_embeddings(folder, model):
    phrases, templates = ["brush hair", "climb"], ["a video of {}.", "{}"]
    got = TextTower(folder).class_vectors(phrases, templates)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    expected = []
    for phrase in phrases:
        rows = []
        for template in templates:
            tokens = tokenizer([template.format(phrase)], return_tensors="pt")
            with torch.no_grad():
                row = model.text_projection(model.text_model(**tokens).pooler_output)[0].double().numpy()
            rows.append(row / np.linalg.norm(row))
        mean = np.mean(rows, axis=0)
        expected.append(mean / np.linalg.norm(mean))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(got[0], got[1], atol=1e-3)


def test_a_text_longer_than_the_tower_reads_is_cut_and_counted(folder, zslbench):
    tower = TextTower(folder)
    long, cut = tower.encode(["x " * 75, "x " * 75 + "y " * 20])
    assert (tower.limit, tower.cut) == (77, 1)
    np.testing.assert_allclose(long, cut, atol=1e-6)
    options = ("--dataset", "hmdb51", "--model", folder, "--template", "x" * 90 + "{}")
    _, out, _ = zslbench("semantics", "import", "long", *options)
    assert "51 texts were cut after 77 tokens" in out


def test_templates_need_one_place_for_the_class(tmp_path):
    path = tmp_path / "templates.txt"
    path.write_text("# prompts\na video of {}.\n\n{} on video\n")
    assert read_templates(path) == ["a video of {}.", "{} on video"]
    path.write_text("a video\n")
    with pytest.raises(ZslbenchError, match="'a video' must contain {} once"):
        read_templates(path)
    path.write_text("# none\n")
    with pytest.raises(ZslbenchError, match="no template"):
        read_templates(path)
    assert all(template.count("{}") == 1 for template in TEMPLATES)


def test_clips_class_vectors_are_imported_by_the_command_line(folder, tmp_path, zslbench):
    (tmp_path / "templates.txt").write_text("a video of a person doing {}.\n")
    options = ("--clip", folder, "--templates", tmp_path / "templates.txt")
    code, out, err = zslbench("semantics", "import", "tiny-clip", "--dataset", "hmdb51", *options)
    assert code == 0, err
    assert "tiny-clip: 24-d, hmdb51 (51 classes) (text tower of" in out
    dataset = get_dataset("hmdb51")
    held = open_semantics("tiny-clip", dataset, list(dataset.classes))
    expected = TextTower(folder).class_vectors(
        [dataset.phrase(name) for name in held.names], ["a video of a person doing {}."]
    )
    np.testing.assert_allclose(held.vectors, expected, rtol=1e-5)
    code, _, err = zslbench("semantics", "import", "other", "--clip", folder)
    assert code == 2
    assert "--dataset" in err
    code, _, err = zslbench("semantics", "import", "other")
    assert code == 2
    assert "FILE" in err


def test_clips_prompts_are_a_table_of_names_and_a_published_set(folder, zslbench):
    prompt = ("--names", "official", "--templates", "clip-kinetics")
    code, _, err = zslbench("semantics", "import", "tiny-clip", "--dataset", "hmdb51", "--clip", folder, *prompt)
    assert code == 0, err
    held = open_semantics("tiny-clip", get_dataset("hmdb51"), ["brush_hair"])
    expected = TextTower(folder).class_vectors(["brush_hair"], read_template("clip-kinetics"))
    np.testing.assert_allclose(held.vectors, expected, rtol=1e-5)
    manifest = read_semantics_manifest("tiny-clip")
    assert manifest.prompts == {"hmdb51": "names=official,template=clip-kinetics"}
    assert "weights" in manifest.note
    assert "names official, 28 templates" in manifest.note
    code, _, err = zslbench("semantics", "import", "other", "--dataset", "hmdb51", "--clip", folder, "--templates", "a")
    assert code == 2
    assert "'a' is no set of templates" in err
