"""Extractions that go on where they were, and sets that are mended."""

import dataclasses
import os
import shutil

import pytest
from extraction import (
    DATASET,
    Brightness,
    brightness,
    content,
    frames_of,
    interrupted,
    motion,
)
from videos_made import write_video

from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet, feature_path
from zslbench.video import recipe as recipes
from zslbench.video.extract import extract
from zslbench.video.folders import VideoFile
from zslbench.video.recipe import make_recipe


def test_an_interrupted_extraction_goes_on_where_it_was(videos):
    interrupted(videos, 5)
    assert not feature_path("moves", "x").exists()
    counts = []
    made = extract(videos, DATASET, "x", motion(), shard=2, progress=lambda *each: counts.append(each))
    assert made.kept == 4  # two whole shards; the fifth video was in a third
    assert counts == [(4, 7), (5, 7), (6, 7), (7, 7)]
    extract(videos, DATASET, "y", motion(), shard=2)
    assert content("x") == content("y")


def test_a_damaged_shard_is_made_again(videos):
    interrupted(videos, 5)
    (first, _) = sorted(feature_path("moves", ".extract-x").glob("shard-*"))
    (first / "features.npy").write_bytes((first / "features.npy").read_bytes()[:-10])
    assert extract(videos, DATASET, "x", motion(), shard=2).kept == 2
    extract(videos, DATASET, "y", motion(), shard=2)
    assert content("x") == content("y")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone": {"size": 48}, "sampler": {"clip_stride": 4}}, "started with backbone"),
        ({"backbone": {"size": 32}, "sampler": {"clip_stride": 8}}, "started with sampler"),
    ],
)
def test_other_settings_are_refused_and_restart_takes_them(videos, change, words):
    interrupted(videos, 5)
    recipe = make_recipe("motion", settings=change)
    with pytest.raises(ZslbenchError, match=words) as error:
        extract(videos, DATASET, "x", recipe, shard=2)
    assert "--restart" in str(error.value)
    made = extract(videos, DATASET, "x", recipe, shard=2, restart=True)
    assert (made.kept, made.manifest.n_videos) == (0, len(videos))


def test_settings_may_change_while_nothing_has_features(videos, tmp_path):
    (tmp_path / "a.mp4").touch()
    empty = [VideoFile("a", tmp_path / "a.mp4", "jump")]
    with pytest.raises(ZslbenchError, match="none of the 1 videos"):
        extract(empty, DATASET, "x", brightness())
    assert extract(videos[:2], DATASET, "x", motion()).manifest.n_videos == 2


def test_an_extraction_goes_on_with_shards_of_another_size(videos):
    interrupted(videos, 5)
    assert extract(videos, DATASET, "x", motion(), shard=3).kept == 4
    extract(videos, DATASET, "y", motion())
    assert content("x") == content("y")


def test_files_that_came_went_or_changed_leave_what_is_done_of_the_others(own, folder):
    before = own()  # jump_0, jump_3, jump_6, turn_1, turn_4, walk_2
    interrupted(before, 4)
    before[0].path.unlink()
    shutil.copyfile(folder / "walk" / "walk_5.mp4", before[1].path)
    shutil.copyfile(folder / "walk" / "walk_5.mp4", before[0].path.with_name("jump_9.mp4"))
    after = own()
    assert extract(after, DATASET, "x", motion(), shard=2).kept == 2
    made = extract(after, DATASET, "y", motion())
    assert content("x") == content("y")
    assert FeatureSet(made.path, DATASET).ids == ["jump_3", "jump_6", "jump_9", "turn_1", "turn_4", "walk_2"]


def test_class_and_list_of_what_is_done_are_those_of_the_last_call(videos):
    interrupted(videos, 5)
    marked = [dataclasses.replace(file, official="train", group="g", class_name="walk") for file in videos]
    extract(marked, DATASET, "x", motion(), shard=2)
    features = FeatureSet(feature_path("moves", "x"), DATASET)
    assert (set(features.official), set(features.groups), features.covered) == ({"train"}, {"g"}, ("walk",))


def test_another_part_of_a_file_is_made_anew(videos):
    interrupted(videos, 5)
    parts = [dataclasses.replace(videos[0], start=0.2, end=0.8), *videos[1:]]
    assert extract(parts, DATASET, "x", motion(), shard=2).kept == 3


def test_what_failed_is_tried_again_when_going_on(own):
    files = own()
    whole = files[0].path.read_bytes()
    files[0].path.write_bytes(b"")
    interrupted(files, 4)
    files[0].path.write_bytes(whole)
    made = extract(files, DATASET, "x", motion(), shard=2)
    assert (made.kept, made.failures, made.manifest.n_videos) == (3, [], 6)
    extract(files, DATASET, "y", motion(), shard=2)
    assert content("x") == content("y")


def test_a_finished_set_is_mended_and_equal_to_one_of_whole_files(own, folder):
    files = own()
    whole = files[0].path.read_bytes()
    files[0].path.write_bytes(b"")
    assert extract(files, DATASET, "x", motion(), source="here").failures == [("jump_0", "is empty (0 bytes)")]
    files[0].path.write_bytes(whole)
    shutil.copyfile(folder / "walk" / "walk_5.mp4", files[0].path.with_name("jump_9.mp4"))
    counts = []
    made = extract(
        own(), DATASET, "x", motion(), retry_failed=True, source="there", progress=lambda *each: counts.append(each)
    )
    assert (made.kept, made.failures, made.manifest.n_videos, made.manifest.source) == (5, [], 7, "here, there")
    assert counts == [(5, 7), (6, 7), (7, 7)]
    made = extract(own(), DATASET, "x", motion(), retry_failed=True, source="here")
    assert (made.kept, made.manifest.source) == (7, "here, there")
    extract(own(), DATASET, "y", motion())
    assert content("x") == content("y")
    assert not list(made.path.parent.glob(".*"))
    FeatureSet(made.path, DATASET).verify()


def test_mending_extracts_replaced_files_and_keeps_warnings_lists_and_what_is_elsewhere(own, folder, tmp_path):
    cut = write_video(tmp_path / "own" / "walk" / "walk_cut.mp4", 40, container={"movflags": "faststart"})
    cut.write_bytes(cut.read_bytes()[:-2500])
    (tmp_path / "own" / "walk" / "walk_x.mp4").touch()
    files = [dataclasses.replace(file, official="test", group="g") for file in own()]
    first = extract(files, DATASET, "x", motion())
    shutil.copyfile(folder / "walk" / "walk_5.mp4", files[0].path)
    made = extract(files[:1], DATASET, "x", motion(), retry_failed=True)  # the others lie on another disk
    assert (made.kept, made.failures, made.warnings) == (6, first.failures, first.warnings)
    assert [video for video, _ in made.warnings] == ["walk_cut"]
    features = FeatureSet(made.path, DATASET)
    assert features.ids == [file.id for file in files if file.id != "walk_x"]
    assert (set(features.official), set(features.groups)) == ({"test"}, {"g"})
    extract(files, DATASET, "y", motion())
    assert content("x") == content("y")


def test_mending_that_was_interrupted_goes_on(own):
    files = own()
    held = {file.path: file.path.read_bytes() for file in files[:3]}
    for path in held:
        path.write_bytes(b"")
    extract(files, DATASET, "x", motion())
    for path, whole in held.items():
        path.write_bytes(whole)
    interrupted(files, 2, retry_failed=True)
    assert len(frames_of()) == 3
    made = extract(files, DATASET, "x", motion(), shard=2, retry_failed=True)
    assert (made.kept, made.failures) == (5, [])
    extract(files, DATASET, "y", motion())
    assert content("x") == content("y")


def test_where_links_do_not_go_features_are_copied(videos, monkeypatch):
    def refuses(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuses)
    extract(videos[1:], DATASET, "x", motion())
    assert extract(videos, DATASET, "x", motion(), retry_failed=True).kept == 6
    extract(videos, DATASET, "y", motion())
    assert content("x") == content("y")


def test_only_a_set_of_the_same_settings_is_mended(videos):
    extract(videos[:2], DATASET, "x", motion())
    with pytest.raises(ZslbenchError, match="moves@x was made with backbone 'motion 1 .*not 'brightness 1.*other --na"):
        extract(videos, DATASET, "x", brightness(), retry_failed=True)
    path = feature_path("moves", "x")
    features = (path / "features.npy").read_bytes()
    (path / "features.npy").write_bytes(features[:-1] + b"!")
    with pytest.raises(ZslbenchError, match="is damaged"):
        extract(videos, DATASET, "x", motion(), retry_failed=True)
    (path / "clips.parquet").unlink()
    with pytest.raises(ZslbenchError, match="was not made by 'zslbench extract'"):
        extract(videos, DATASET, "x", motion(), retry_failed=True)


def test_a_failure_of_the_moment_is_tried_again_when_going_on(videos, monkeypatch):
    from zslbench.video import reader

    def fails(path):
        if path == videos[1].path:
            raise reader.VideoError(path, "cannot be read (Input/output error)")

    with monkeypatch.context() as patch:
        patch.setattr(reader, "_check_file", fails)
        interrupted(videos, 5)
    made = extract(videos, DATASET, "x", motion(), shard=2)
    assert (made.kept, made.failures) == (3, [])


def test_other_weights_of_the_same_name_are_refused(videos, tmp_path, monkeypatch):
    class Weighted(Brightness):
        info = Brightness.info.model_copy(update={"needs_weights": True})

    monkeypatch.setattr(recipes, "get_backbone", {"brightness": Weighted}.__getitem__)
    weights = tmp_path / "weights"
    weights.write_bytes(b"one")
    before = make_recipe("brightness", weights=weights)
    interrupted(videos, 5, before)
    recipes._backbone.cache_clear()
    weights.write_bytes(b"two")
    with pytest.raises(ZslbenchError, match="started with weights"):
        extract(videos, DATASET, "x", make_recipe("brightness", weights=weights))
