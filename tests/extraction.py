"""Made videos, two small backbones and what extraction leaves on the disk."""

import csv
import os
import signal

import numpy as np
import pytest

from zslbench.datasets.dataset import Dataset
from zslbench.digests import file_sha256
from zslbench.features.feature_set import FeatureSet, feature_path
from zslbench.video.backbone import Backbone, BackboneInfo
from zslbench.video.extract import extract
from zslbench.video.recipe import make_recipe

MOVES = ("jump", "turn", "walk")
DATASET = Dataset("moves", "Moves", MOVES, {"plain": {name: name for name in MOVES}})


class Brightness(Backbone):
    """The mean colour of a clip; fails where a test says so."""

    info = BackboneInfo(name="brightness", summary="Mean colour.", dim=3, needs_weights=False, clip_len=None)
    fails = staticmethod(lambda clip: None)

    def preprocess(self, clip):
        return clip

    def forward(self, batch):
        for clip in batch:
            type(self).fails(clip)
        return np.stack([clip.mean(axis=(0, 1, 2)) for clip in batch])


class Deadly(Brightness):
    """Kills its process on clips of 48 rows: those of one video."""

    def preprocess(self, clip):
        if clip.shape[1] == 48:
            os.kill(os.getpid(), signal.SIGKILL)
        return clip


class Picky(Brightness):
    """Cannot preprocess clips of 48 rows."""

    def preprocess(self, clip):
        if clip.shape[1] == 48:
            raise ValueError("too low")
        return clip


MOTION = {"backbone": {"size": 32}, "sampler": {"clip_stride": 4}}


def motion(**more):
    return make_recipe("motion", settings=MOTION, **more)


def brightness(batch=4, name="brightness"):
    return make_recipe(name, batch=batch, settings={"sampler": {"clip_len": 6, "clip_stride": 6}})


def content(name="x"):
    path, files = feature_path("moves", name), ("features.npy", "videos.parquet", "clips.parquet", "failures.csv")
    return {file: file_sha256(path / file) for file in files}


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def frames_of(name="x"):
    features = FeatureSet(feature_path("moves", name), DATASET)
    return {video: features.store.gather(np.array([i])) for i, video in enumerate(features.ids)}


def failing(monkeypatch, fails):
    monkeypatch.setattr(Brightness, "fails", staticmethod(fails))


def is_noise(clip):
    return clip.shape[1:3] == (240, 320)  # no video here is so large


def shards_of(name="x"):
    return len(list(feature_path("moves", f".extract-{name}").glob("shard-*")))


def interrupted(videos, at, recipe=None, **options):
    """Extract until video number ``at``; the process is stopped there."""
    import zslbench.video.extract as module

    real = module.extract_videos
    stop = {file.id for file in videos[at:]}

    def stops(*args, **more):
        for video in real(*args, **more):
            if video.file.id in stop:
                raise KeyboardInterrupt
            yield video

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "extract_videos", stops)
        with pytest.raises(KeyboardInterrupt):
            extract(videos, DATASET, "x", recipe or motion(), shard=2, **options)
