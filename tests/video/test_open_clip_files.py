"""Files of open_clip: which are fetched and read where a repository has two layouts, and what is said without it."""

import json
import sys

import pytest
from clip_made import write_clip
from hub_here import SHA, hub
from videos_rendered import make_videos

from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.video.backbones.open_clip_model import open_clip_library
from zslbench.video.model_files import fetch_model, weights_digest

hub_constants = pytest.importorskip("huggingface_hub.constants")
CONFIG = {
    "model_cfg": {"embed_dim": 24, "vision_cfg": {"image_size": 32, "layers": 2}, "text_cfg": {"layers": 2}},
    "preprocess_cfg": {},
}
TRANSFORMERS, OPEN_CLIP = "model.safetensors", "open_clip_model.safetensors"
OF_TIMM, OF_OWN_CODE = {"architecture": "vit"}, {"model_type": "clip", "auto_map": {"AutoModel": "mine.Mine"}}
# Repository -> (values of config.json, the weights that are taken).
REPOSITORIES = {
    "tiny/both": ({}, TRANSFORMERS),
    "tiny/timm": (OF_TIMM, OPEN_CLIP),
    "tiny/own-code": (OF_OWN_CODE, OPEN_CLIP),
    "tiny/alone": (None, OPEN_CLIP),
}


def write_both(folder, config):
    folder.mkdir()
    write_clip(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    (folder / OPEN_CLIP).write_bytes(b"weights of open_clip")
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"a pickle")
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    if config is None:
        (folder / "config.json").unlink()
        (folder / TRANSFORMERS).unlink()
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    made = {name: write_both(root / name.split("/")[1], config) for name, (config, _) in REPOSITORIES.items()}
    pickled = root / "pickled"
    pickled.mkdir()
    (pickled / "open_clip_config.json").write_text(json.dumps(CONFIG))
    (pickled / "open_clip_pytorch_model.bin").write_bytes(b"a pickle")
    return made | {"tiny/pickled": pickled}


@pytest.fixture
def served(models, tmp_path, monkeypatch):
    with hub(models) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
        yield asked


@pytest.mark.parametrize("name", REPOSITORIES)
def test_of_two_layouts_the_weights_of_one_are_fetched_and_it_is_the_same_one_offline(
    served, models, name, monkeypatch
):
    wanted = REPOSITORIES[name][1]
    files = fetch_model(name)
    assert files.revision == SHA
    assert {path.name for path in files.folder.iterdir() if path.suffix != ".json" and path.stem != "merges"} == {
        wanted
    }
    assert files.layout.backbone == {TRANSFORMERS: "transformers", OPEN_CLIP: "open-clip"}[wanted]
    assert weights_digest(files.folder) == file_sha256(models[name] / wanted)
    assert all(SHA in line for line in served if "/resolve/" in line)
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    assert fetch_model(name) == files
    here = fetch_model(str(models[name]))
    assert (here.layout, weights_digest(here.folder)) == (files.layout, weights_digest(files.folder))


def test_weights_that_are_only_pickled_are_not_fetched(served, models):
    with pytest.raises(ZslbenchError, match=r"has only open_clip_pytorch_model\.bin; zslbench reads safetensors only"):
        fetch_model("tiny/pickled")
    assert not [line for line in served if "/resolve/" in line]
    with pytest.raises(ZslbenchError, match=r"has no open_clip_model\.safetensors; pickled weights are not read"):
        fetch_model(str(models["tiny/pickled"]))


def test_without_open_clip_one_sentence_says_what_to_install(models, tmp_path, zslbench, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    make_videos(tmp_path / "videos", per_class=1)
    assert zslbench("datasets", "add", "moves", "--videos", tmp_path / "videos")[0] == 0
    line = ("--dataset", "moves", "--model", models["tiny/alone"])
    for command in (("extract", *line, "--videos", tmp_path / "videos"), ("semantics", "import", "own", *line)):
        code, _, err = zslbench(*command)
        assert code == 2
        assert err.splitlines()[-1].endswith("run: pip install 'zslbench[open-clip]'.")
        assert err.count("zslbench: ") == 1


def test_a_model_of_open_clip_has_no_code_to_trust(models):
    with pytest.raises(ZslbenchError, match="is a model of open_clip, which needs no code; leave out --trust-remote"):
        fetch_model(str(models["tiny/alone"]), trust_remote_code=True)
    assert fetch_model(str(models["tiny/both"]), trust_remote_code=True).layout.backbone == "transformers"


def test_a_torchvision_of_another_torch_is_named(tmp_path, monkeypatch):
    (tmp_path / "open_clip.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "open_clip", raising=False)
    with pytest.raises(ZslbenchError, match=r"not fit torch .*::nms.*: pip install -U torch torchvision"):
        open_clip_library()
