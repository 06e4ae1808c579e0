"""Models of the hub: what is fetched from a server on 127.0.0.1, what is refused, and local folders."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from clip_made import write_clip
from hub_here import SHA, hub

from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.video.model_files import fetch_encoder, fetch_model, weights_digest

hub_constants = pytest.importorskip("huggingface_hub.constants")
pytestmark = pytest.mark.versions


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = write_clip(tmp_path_factory.mktemp("clip"))
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_mine.py").write_text("raise SystemExit\n")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.safetensors").write_bytes(b"another form")
    return folder


@pytest.fixture
def served(clip, tmp_path, monkeypatch):
    """Serve the model as tiny/clip, with an empty cache; the requests are returned."""
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"a pickle")
    with hub({"tiny/clip": clip, "tiny/pickled": pickled}, gated={"tiny/gated"}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
        yield asked


def test_a_model_is_fetched_once_at_a_commit_and_only_what_is_needed(served, clip, monkeypatch):
    files = fetch_model("tiny/clip")
    assert (files.name, files.revision) == ("tiny/clip", SHA)
    names = {path.name for path in files.folder.iterdir()}
    assert names == {
        "config.json", "model.safetensors", "preprocessor_config.json", "vocab.json", "merges.txt",
        "tokenizer_config.json",
    }  # fmt: skip
    assert weights_digest(files.folder) == file_sha256(clip / "model.safetensors")
    assert all(SHA in line for line in served if "/resolve/" in line)
    fetched = len([line for line in served if line.startswith("GET") and "/resolve/" in line])
    assert fetch_model("tiny/clip") == files
    assert len([line for line in served if line.startswith("GET") and "/resolve/" in line]) == fetched
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    asked = len(served)
    assert fetch_model("tiny/clip") == files
    assert len(served) == asked


@pytest.mark.slow
def test_a_fresh_process_fetches_where_nothing_else_has_imported_the_hubs_modules(clip, tmp_path):
    code = "from zslbench.video.model_files import fetch_model; print(fetch_model('tiny/clip').revision)"
    with hub({"tiny/clip": clip}) as (address, _):
        places = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        ran = subprocess.run([sys.executable, "-c", code], env=os.environ | places, capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.returncode) == (SHA, 0), ran.stderr


def test_code_of_a_model_is_fetched_only_if_it_is_trusted(served):
    assert "modeling_mine.py" not in {path.name for path in fetch_model("tiny/clip").folder.iterdir()}
    trusted = fetch_model("tiny/clip", trust_remote_code=True)
    assert "modeling_mine.py" in {path.name for path in trusted.folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "revision", "says"),
    [
        ("tiny/missing", None, "no folder tiny/missing, and the hub has no such model, or it is private"),
        ("tiny/gated", None, "tiny/gated is gated: accept its terms"),
        ("tiny/clip", "v9", "tiny/clip has no revision v9"),
        ("tiny/pickled", None, "has only pytorch_model.bin; zslbench reads safetensors only"),
        ("a/b/c", None, "there is no folder a/b/c"),
        ("bad--/name..", None, "is not a name of the hub"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(served, tmp_path, name, revision, says):
    with pytest.raises(ZslbenchError) as caught:
        fetch_model(name, revision)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_offline_a_model_that_is_not_in_the_cache_names_the_files_that_are_needed(served, monkeypatch):
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ZslbenchError, match=r"HF_HUB_OFFLINE is set; .*config\.json, model\.safetensors and the files"):
        fetch_model("tiny/clip")
    assert not served


def test_a_hub_that_does_not_answer_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(ZslbenchError, match="no folder tiny/clip, and it could not be fetched from the hub"):
        fetch_model("tiny/clip")


def test_a_local_folder_needs_a_configuration_and_safetensors(clip, tmp_path):
    assert fetch_model(str(clip)).folder == clip
    with pytest.raises(ZslbenchError, match="leave out --revision"):
        fetch_model(str(clip), "main")
    with pytest.raises(ZslbenchError, match=r"has no config\.json"):
        fetch_model(str(tmp_path))
    shutil.copy(clip / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ZslbenchError, match="pickled weights are not read"):
        fetch_model(str(tmp_path))


def test_weights_in_several_files_have_one_digest_that_every_file_counts_in(tmp_path):
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("ab", parts, strict=True))})
    )
    (tmp_path / parts[0]).write_bytes(b"1")
    with pytest.raises(ZslbenchError, match="lacks model-00002-of-00002"):
        fetch_model(str(tmp_path))
    (tmp_path / parts[1]).write_bytes(b"2")
    first = weights_digest(tmp_path)
    (tmp_path / parts[1]).write_bytes(b"3")
    assert weights_digest(tmp_path) != first


def test_a_model_of_sentence_transformers_is_fetched_with_its_modules_and_no_code(tmp_path, monkeypatch):
    folder = tmp_path / "sbert"
    for name in (
        "modules.json", "config.json", "model.safetensors", "pytorch_model.bin", "1_Pooling/config.json",
        "2_Dense/model.safetensors", "onnx/model.safetensors", "modeling.py",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    with hub({"tiny/sbert": folder, "tiny/bare": folder / "1_Pooling"}) as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
        files = fetch_encoder("tiny/sbert")
        fetched = {str(path.relative_to(files.folder)) for path in files.folder.rglob("*") if path.is_file()}
        assert fetched == {
            "modules.json", "config.json", "model.safetensors", "1_Pooling/config.json", "2_Dense/model.safetensors",
        }  # fmt: skip
        with pytest.raises(ZslbenchError, match=r"no model of sentence-transformers.*try --model tiny/bare"):
            fetch_encoder("tiny/bare")
        monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
        assert fetch_encoder("tiny/sbert") == files
        with pytest.raises(ZslbenchError, match="no folder tiny/other, it is not in the cache"):
            fetch_encoder("tiny/other")
