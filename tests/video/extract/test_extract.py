"""Extraction against a plain loop; settings and names that are refused."""

import json
import threading
from contextlib import closing

import numpy as np
import pyarrow.parquet as pq
import pytest
from extraction import DATASET, content, frames_of, motion

from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet, feature_path
from zslbench.video import recipe as recipes
from zslbench.video._join import settings_of
from zslbench.video._journal import Journal
from zslbench.video.backbones.motion import Motion
from zslbench.video.decoding import Ahead
from zslbench.video.extract import extract
from zslbench.video.folders import VideoFile
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.recipe import make_recipe
from zslbench.video.sampling import ClipSampler


def test_features_are_those_of_a_plain_loop(videos):
    made = extract(videos, DATASET, "x", motion())
    sampler, backbone = ClipSampler(clip_stride=4), Motion({"size": 32})
    assert len(videos) == 7
    found = frames_of()
    for file in videos:
        clips = [clip.images for clip in sampler.clips(PyAVReader().frames(file.path))]
        expected = np.concatenate([backbone.extract([clip]) for clip in clips])
        np.testing.assert_array_equal(found[file.id], expected)
    assert made.manifest.n_frames == sum(map(len, found.values()))


def test_the_table_and_the_manifest_say_where_features_come_from(videos, folder):
    made = extract(videos, DATASET, "x", motion(), source=str(folder))
    features = FeatureSet(made.path, DATASET)
    assert features.ids == sorted(file.id for file in videos)
    assert [DATASET.classes[i] for i in features.labels] == [id.split("_")[0] for id in features.ids]
    manifest = features.manifest
    assert manifest.kind == "sequences"
    assert (manifest.extractor, manifest.trained_on) == (Motion({"size": 32}).describe(), ("nothing",))
    assert manifest.reader == PyAVReader().name
    assert manifest.frame_indices == ClipSampler(clip_stride=4).describe()
    assert manifest.source == str(folder)
    recipe = recipes.read_recipe(made.path)
    assert recipe == motion()
    assert not list(made.path.parent.glob(".*"))  # no shard is left


def test_every_clip_has_its_frames_in_a_table(videos):
    made = extract(videos, DATASET, "x", motion())
    table = pq.read_table(made.path / "clips.parquet").to_pylist()
    assert len(table) == made.manifest.n_frames
    file = videos[0]
    expected = [clip.indices.tolist() for clip in ClipSampler(clip_stride=4).clips(PyAVReader().frames(file.path))]
    assert [row["frames"] for row in table if row["video"] == file.id] == expected


@pytest.mark.parametrize("shard", [1, 2, 100])
def test_the_size_of_shards_changes_no_bit(videos, shard):
    extract(videos, DATASET, "x", motion(batch=1))
    extract(videos[::-1], DATASET, "y", motion(batch=1), shard=shard)
    assert content("x") == content("y")


def test_one_clip_a_video_is_a_pooled_feature_set(videos):
    recipe = make_recipe(
        "motion", sampler="segments", settings={"sampler": {"n_segments": 1}, "backbone": {"size": 32}}
    )
    assert extract(videos, DATASET, "x", recipe).manifest.kind == "pooled"


def test_two_extractions_of_one_name_are_refused(videos):
    folder = feature_path("moves", ".extract-x")
    with (
        Journal(folder, settings_of(DATASET, motion())),
        pytest.raises(ZslbenchError, match="another 'zslbench extract' is using"),
    ):
        extract(videos, DATASET, "x", motion())
    assert extract(videos, DATASET, "x", motion()).manifest.n_videos == 7


def test_a_feature_set_of_that_name_is_not_written_over(videos):
    extract(videos, DATASET, "x", motion())
    with pytest.raises(ZslbenchError, match="features remove moves x"):
        extract(videos, DATASET, "x", motion())
    with pytest.raises(ZslbenchError, match="cannot name a feature set"):
        extract(videos, DATASET, "../x", motion())


def test_when_no_video_yields_features_the_first_reason_is_told(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(ZslbenchError, match=r"none of the 1 videos has features \(a: is empty"):
        extract([VideoFile("a", tmp_path / "a.mp4", "jump")], DATASET, "x", motion())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settings": {"sampler": {"clip_leng": 8}}}, "no parameter 'clip_leng'. Did you mean clip_len"),
        ({"settings": {"sampler": {"clip_len": 1}}}, "at least|2 frames"),
        ({"settings": {"sampler": {"clip_len": 0}}}, "sampler.clip_len"),
        ({"settings": {"pooled-krr": {"alpha": 8}}}, "--set pooled-krr"),
        ({"sampler": "segment"}, "Did you mean segments"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_video_is_opened(options, words):
    with pytest.raises(ZslbenchError, match=words):
        make_recipe("motion", **options)


def test_decoding_runs_ahead_by_no_more_than_its_room():
    made, taken, furthest = [], [], []

    def items():
        for i in range(50):
            made.append(i)
            yield i

    with closing(Ahead(items(), lambda item: 10, room=30)) as queue:
        for item in queue:
            threading.Event().wait(0.002)
            taken.append(item)
            furthest.append(len(made) - len(taken))
    assert taken == list(range(50))
    assert 1 <= max(furthest) <= 4  # three in the queue, one in the thread's hand


def test_what_decoding_raises_reaches_the_reader_and_leaving_early_ends_the_thread():
    def breaks():
        yield 1
        raise RuntimeError("no further")

    with pytest.raises(RuntimeError, match="no further"), closing(Ahead(breaks(), lambda item: 1)) as queue:
        list(queue)
    with closing(Ahead(iter(range(10**9)), lambda item: 1, room=5)) as queue:
        assert next(iter(queue)) == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "decode"]


def test_a_settings_file_that_was_cut_off_is_written_anew(videos):
    folder = feature_path("moves", ".extract-x")
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text('{"backbone": "mo')
    with Journal(folder, {"backbone": "motion"}):
        assert json.loads((folder / "settings.json").read_text()) == {"backbone": "motion"}
