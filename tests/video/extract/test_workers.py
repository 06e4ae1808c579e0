"""Decoding processes: the same features as without them, and what is left when one of them dies."""

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
from extraction import DATASET, Brightness, brightness, content, frames_of, motion
from models_made import write_model

from zslbench.errors import ZslbenchError
from zslbench.video import _decoders
from zslbench.video import recipe as recipes
from zslbench.video.backbones.clip import Clip
from zslbench.video.backbones.transformers_model import TransformersModel
from zslbench.video.decoding import Ending, decode_videos
from zslbench.video.extract import extract
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.recipe import make_recipe
from zslbench.video.sampling import ClipSampler


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_change_no_bit(videos, workers):
    extract(videos, DATASET, "x", motion(), shard=3)
    counts = []
    extract(videos, DATASET, "y", motion(), shard=3, workers=workers, progress=lambda *each: counts.append(each))
    assert content("x") == content("y")
    assert counts == [(done, 7) for done in range(8)]


@pytest.mark.slow
def test_neither_workers_nor_batches_change_the_features_of_a_network(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "get_backbone", {"clip": Clip}.__getitem__)
    folder = write_model(tmp_path / "clip", "clip")

    def made(name, batch, workers):
        recipe = make_recipe("clip", weights=folder, batch=batch, device="cpu")
        extract(videos, DATASET, name, recipe, workers=workers)
        return frames_of(name)

    expected = made("x", 8, None)
    made("y", 8, 2)
    assert content("x") == content("y")
    for batch in (1, 5):
        found = made(f"z{batch}", batch, 2)
        for video, rows in expected.items():
            np.testing.assert_allclose(found[video], rows, atol=1e-5)


def test_batches_are_full_although_each_video_gives_one_clip(videos, monkeypatch):
    sizes, real = [], Brightness.forward
    monkeypatch.setattr(Brightness, "forward", lambda self, batch: sizes.append(len(batch)) or real(self, batch))
    sampler = {"sampler": {"clip_len": 6, "n_slots": 1}}
    extract(videos, DATASET, "x", make_recipe("brightness", batch=3, settings=sampler))
    assert sizes[1:] == [3, 3, 1]  # the first one is noise
    sizes.clear()
    monkeypatch.setattr("zslbench.video.extract.SHARD", 2)
    extract(videos, DATASET, "y", make_recipe("brightness", batch=3, settings=sampler))
    assert sizes[1:] == [3, 3, 1]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_kills_its_decoding_process_is_a_row_and_costs_no_other(videos, workers):
    made = extract(videos, DATASET, "x", brightness(name="deadly"), workers=workers)
    assert made.failures == [
        ("turn_4", "its decoding process died: a library crashed on it, or the system killed it for memory")
    ]
    extract(videos, DATASET, "y", brightness())
    expected = frames_of("y")
    found = frames_of("x")
    assert found.keys() == expected.keys() - {"turn_4"}
    assert all((found[video] == expected[video]).all() for video in found)


@pytest.mark.slow
def test_a_decoding_process_that_is_killed_once_costs_no_video(videos, monkeypatch):
    killed, real = [], _decoders._Decoder._read

    def kills(self):
        item = real(self)
        if not killed and self._done == 1:
            killed.append(self._process.pid)
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        return item

    with monkeypatch.context() as patch:
        patch.setattr(_decoders._Decoder, "_read", kills)
        made = extract(videos, DATASET, "x", brightness(batch=1), workers=1)
    assert (len(killed), made.failures) == (1, [])
    extract(videos, DATASET, "y", brightness(batch=1))
    assert content("x") == content("y")


@pytest.mark.parametrize("workers", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_a_clip_that_cannot_be_preprocessed_costs_its_video_only(videos, workers):
    made = extract(videos, DATASET, "x", brightness(name="picky"), workers=workers)
    assert made.failures == [("turn_4", "brightness failed (ValueError: too low)")]


@pytest.mark.slow
def test_a_backbone_that_a_process_cannot_import_is_one_sentence(videos, monkeypatch, capfd):
    monkeypatch.setattr(_decoders, "_START", "raise SystemExit(3)")
    with pytest.raises(ZslbenchError, match=r"ended at its start \(code 3\); leave out --workers"):
        extract(videos, DATASET, "x", brightness(), workers=2)
    assert capfd.readouterr().err == ""


def test_no_frame_of_a_video_waits_for_a_full_garbage_collection(videos):
    import gc

    import av

    gc.collect()
    before = sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())
    items = decode_videos(videos, ClipSampler(), PyAVReader())
    kept = [
        sum(isinstance(each, av.VideoFrame) for each in gc.get_objects()) - before
        for item in items
        if isinstance(item, Ending)
    ]
    assert len(kept) == 7
    assert max(kept) <= 2


def test_a_backbone_travels_without_its_network(tmp_path):
    backbone = TransformersModel(weights=write_model(tmp_path / "clip", "clip"), device="cpu")
    clip = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    expected = backbone.extract([clip])  # loads the network
    data = pickle.dumps(backbone)
    assert len(data) < 2000
    again = pickle.loads(data)
    assert again.describe() == backbone.describe()
    np.testing.assert_array_equal(again.extract([clip]), expected)


KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from extraction import DATASET, Brightness, brightness
from zslbench.video import recipe as recipes
from zslbench.video.decoding import Ending, decode_videos
from zslbench.video.extract import extract
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.videos import find_videos
recipes.get_backbone = {{"brightness": Brightness}}.__getitem__


def fails(clip):
    print("computes", flush=True)
    time.sleep(60 * (len(clip[0]) < 200))  # but not on noise


Brightness.fails = staticmethod(fails)
extract(find_videos(DATASET, Path(sys.argv[1])).files, DATASET, "x", brightness(), workers=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_decoding_process_outlives_the_command(folder, tmp_path, how):
    import psutil

    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(path=sys.path))
    child = subprocess.Popen([sys.executable, script, folder], stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        assert child.stdout.readline() == "computes\n"
    own = psutil.Process(child.pid).children()
    assert len(own) == 2
    os.kill(child.pid, how)
    child.communicate()
    _, alive = psutil.wait_procs(own, timeout=20)
    assert not alive
