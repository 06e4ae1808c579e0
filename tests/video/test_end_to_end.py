"""The commands that a user types, on real clips and on videos whose motion is the class."""

import csv
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from videos_rendered import MOVES, make_videos

from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.digests import file_sha256
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import feature_path
from zslbench.files import data_root

FILES = ("features.npy", "videos.parquet", "clips.parquet")


def checksums(dataset, name):
    return {file: file_sha256(feature_path(dataset, name) / file) for file in FILES}


@pytest.fixture
def clips(shared_data, zslbench):
    """The eight real clips, as a dataset of the user's own."""
    folder = shared_data / "clips"
    code, _, err = zslbench("datasets", "add", "real", "--videos", folder)
    assert code == 0, err
    return folder


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "options", "dim"),
    [
        ("motion", ["--set", "backbone.size=64", "--set", "sampler.n_slots=8"], 594),
        ("c3d", ["--set", "c3d.random_weights=0", "--set", "c3d.features=fc6", "--set", "sampler.n_slots=1"], 4096),
    ],
)
def test_real_clips_give_the_same_features_each_time(clips, zslbench, backbone, options, dim):
    line = ["extract", "--dataset", "real", "--videos", clips, "--backbone", backbone, *options]
    for name in ("first", "second"):
        code, out, err = zslbench(*line, "--name", name)
        assert code == 0, err
        assert "8 of 8 videos" in out
    assert checksums("real", "first") == checksums("real", "second")
    features = open_features(get_dataset("real"), "first")
    assert features.manifest.dim == dim
    assert len(features.covered) == 8
    values = features.store.pooled()
    assert np.isfinite(values).all()
    assert np.unique(values, axis=0).shape == values.shape


@pytest.fixture(scope="module")
def moves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moves")
    assert make_videos(folder, per_class=26) >= 200
    return folder


def supervised_accuracy(features):
    """Nearest class mean on pooled features; of each class the second half of the videos is tested."""
    x, y = features.store.pooled(), features.labels
    train = np.array([int(video.split("_")[1]) < 13 for video in features.ids])
    means = np.stack([x[train & (y == label)].mean(axis=0) for label in range(len(MOVES))])
    nearest = ((x[~train, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    return (nearest == y[~train]).mean()


@pytest.mark.slow
def test_motion_tells_the_moves_of_208_rendered_videos_apart(moves, zslbench, tmp_path):
    assert zslbench("datasets", "add", "moves", "--videos", moves)[0] == 0
    small = ["--set", "backbone.size=48", "--set", "sampler.clip_stride=16"]
    code, out, err = zslbench("extract", "--dataset", "moves", "--videos", moves, "--backbone", "motion", *small)
    assert code == 0, err
    assert "moves@motion: 208 of 208 videos" in out
    assert supervised_accuracy(open_features(get_dataset("moves"), "motion")) > 0.6  # chance 0.125

    run = ["run", "--method", "pooled-krr", "--dataset", "moves", "--features", "motion", "--family", "random-50/50"]
    more = ["--protocol", "gzsl", "--splits", "2", "--no-track", "--save-model", "--results", tmp_path / "runs"]
    code, _, err = zslbench(*run, *more)
    assert code == 0, err
    results = [record.result for record in Store(tmp_path / "runs").records()]
    assert len(results) == 2
    assert min(result.metrics["S"] for result in results) > 0.5  # held-out videos of seen classes, chance 0.125

    model = next((tmp_path / "runs" / "models").iterdir())
    seen = json.loads((model / "model.json").read_text())["seen"]
    hits = 0
    for move in seen[:2]:
        sheet = tmp_path / f"{move}.png"
        code, out, err = zslbench("show", moves / move / f"{move}_05.mp4", "--model", model, "--out", sheet)
        assert code == 0, err
        hits += out.splitlines()[2].split()[1] == move
        assert sheet.read_bytes().startswith(b"\x89PNG")
    assert hits  # it was trained on most of these videos


@pytest.mark.slow
@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_after_kill_9_the_same_command_goes_on_and_gives_the_same_features(moves, zslbench, workers):
    assert zslbench("datasets", "add", "moves", "--videos", moves)[0] == 0
    line = [sys.executable, "-m", "zslbench", "extract", "--dataset", "moves", "--videos", str(moves), "--backbone"]
    line += ["motion", "--set", "backbone.size=32", "--shard", "4", "--limit", "64", *workers]

    def start(name):
        return subprocess.Popen([*line, "--name", name], env=os.environ, stdout=-1, stderr=-1, text=True)

    child = start("killed")
    journal = feature_path("moves", ".extract-killed")
    for _ in range(1200):
        if len(list(journal.glob("shard-*/shard.json"))) >= 3:
            break
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    child.kill()
    child.communicate()
    time.sleep(1.0)  # orphaned workers notice that their launcher is gone
    before = {path.name: path.stat().st_mtime_ns for path in journal.glob("shard-*/shard.json")}
    kept = len(list(journal.glob("shard-*/shard.json")))
    assert 3 <= kept < 16, before
    assert not feature_path("moves", "killed").exists()
    child = start("killed")
    out, err = child.communicate(timeout=200)
    assert child.returncode == 0, err
    assert f"64 of 64 videos ({4 * kept} from an earlier extraction)" in out
    assert not journal.exists()
    out, err = start("whole").communicate(timeout=200)
    assert "from an earlier extraction" not in out, err
    assert checksums("moves", "killed") == checksums("moves", "whole")


DEADLY = """
import os
import numpy as np
from zslbench.video.backbone import Backbone, BackboneInfo


class Deadly(Backbone):
    info = BackboneInfo(name="deadly", summary="Kills its process on white clips.", dim=1, needs_weights=False)

    def preprocess(self, clip):
        if clip.mean() > 250:
            os._exit(7)
        return clip.mean(keepdims=True).ravel()

    def forward(self, batch):
        return np.stack(batch)
"""


@pytest.mark.slow
def test_a_video_that_kills_its_worker_is_a_row_and_all_others_are_kept(tmp_path, zslbench):
    from videos_rendered import encode, render

    videos = tmp_path / "videos"
    for move in ("jump", "walk"):
        for i in range(4):
            encode(videos / move / f"{move}_{i}.mp4", render(move, i))
    encode(videos / "walk" / "walk_white.mp4", np.full((24, 64, 64, 3), 255, np.uint8))
    assert zslbench("datasets", "add", "white", "--videos", videos)[0] == 0
    plugins = tmp_path / "plugins"
    info = plugins / "deadly-1.0.dist-info"
    info.mkdir(parents=True)
    (plugins / "deadly.py").write_text(DEADLY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zslbench.backbones]\ndeadly = deadly:Deadly\n")
    path = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
    line = [sys.executable, "-m", "zslbench", "extract", "--dataset", "white", "--videos", str(videos), "--backbone"]
    child = subprocess.run(
        [*line, "deadly", "--workers", "2", "--shard", "3"],
        env=os.environ | {"PYTHONPATH": path, "ZSLBENCH_DATA_ROOT": str(data_root())},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    assert "white@deadly: 8 of 9 videos" in child.stdout
    with (feature_path("white", "deadly") / "failures.csv").open(newline="") as stream:
        failures = list(csv.reader(stream))[1:]
    assert [video for video, _ in failures] == ["walk_white"]
    assert "its decoding process died" in failures[0][1]
