"""Extraction against a plain loop, and what is left of it when something goes wrong."""

import csv
import dataclasses
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from videos_made import write_sound, write_video
from videos_rendered import encode, render

from zslbench.dataset import Dataset
from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.features import FeatureSet, feature_path
from zslbench.video import recipe as recipes
from zslbench.video.backbone import Backbone, BackboneInfo
from zslbench.video.backbones.motion import Motion
from zslbench.video.extract import extract
from zslbench.video.folders import VideoFile, find_videos
from zslbench.video.join import settings_of
from zslbench.video.journal import Journal
from zslbench.video.pipeline import ahead
from zslbench.video.reader import get_reader
from zslbench.video.recipe import make_recipe
from zslbench.video.sampling import ClipSampler

MOVES = ("jump", "turn", "walk")
DATASET = Dataset("moves", "Moves", MOVES, {"plain": {name: name for name in MOVES}})


class Brightness(Backbone):
    """The mean colour of a clip; fails where a test says so."""

    info = BackboneInfo(name="brightness", summary="Mean colour.", dim=3, needs_weights=False, clip_len=None)
    fails = staticmethod(lambda clip: None)

    def preprocess(self, clip):
        type(self).fails(clip)
        return clip.mean(axis=(0, 1, 2))

    def forward(self, batch):
        return np.stack(batch)


@pytest.fixture(autouse=True)
def backbones(monkeypatch):
    """Backbones by name, without an installation; none is kept from another test."""
    known = {"motion": Motion, "brightness": Brightness}
    monkeypatch.setattr(recipes, "get_backbone", known.__getitem__)
    monkeypatch.setattr(Brightness, "fails", staticmethod(lambda clip: None))
    recipes._backbone.cache_clear()
    yield
    recipes._backbone.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven videos of three classes, of different lengths and sizes."""
    root = tmp_path_factory.mktemp("videos")
    for i, move in enumerate((*MOVES, *MOVES, "jump")):
        images = render(move, i)[: 24 - 3 * i]
        encode(root / move / f"{move}_{i}.mp4", images if i != 4 else images[:, :48])
    return root


@pytest.fixture
def videos(folder):
    return find_videos(DATASET, folder).files


MOTION = {"backbone": {"size": 32}, "sampler": {"clip_stride": 4}}


def motion(**more):
    return make_recipe("motion", settings=MOTION, **more)


def brightness(batch=4):
    return make_recipe("brightness", batch=batch, settings={"sampler": {"clip_len": 6, "clip_stride": 6}})


def content(name="x"):
    path, files = feature_path("moves", name), ("features.npy", "videos.parquet", "clips.parquet", "failures.csv")
    return {file: file_sha256(path / file) for file in files}


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def frames_of(name="x"):
    features = FeatureSet(feature_path("moves", name), DATASET)
    return {video: features.store.gather(np.array([i])) for i, video in enumerate(features.ids)}


def test_features_are_those_of_a_plain_loop(videos):
    made = extract(videos, DATASET, "x", motion())
    sampler, backbone = ClipSampler(clip_stride=4), Motion({"size": 32})
    assert len(videos) == 7
    found = frames_of()
    for file in videos:
        clips = [clip.images for clip in sampler.clips(get_reader().frames(file.path))]
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
    assert manifest.reader == get_reader().name
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
    expected = [clip.indices.tolist() for clip in ClipSampler(clip_stride=4).clips(get_reader().frames(file.path))]
    assert [row["frames"] for row in table if row["video"] == file.id] == expected


@pytest.mark.parametrize("shard", [1, 2, 100])
def test_the_size_of_shards_changes_no_bit(videos, shard):
    extract(videos, DATASET, "x", motion(batch=1))
    extract(videos[::-1], DATASET, "y", motion(batch=1), shard=shard)
    assert content("x") == content("y")


@pytest.mark.slow
def test_workers_change_no_bit(videos):
    extract(videos, DATASET, "x", motion(), shard=3)
    counts = []
    extract(
        videos, DATASET, "y", motion(), shard=3, workers=2, progress=lambda done, total: counts.append((done, total))
    )
    assert content("x") == content("y")
    assert counts[0] == (0, 7)
    assert max(counts) == (7, 7)


def test_one_clip_a_video_is_a_pooled_feature_set(videos):
    recipe = make_recipe(
        "motion", sampler="segments", settings={"sampler": {"n_segments": 1}, "backbone": {"size": 32}}
    )
    assert extract(videos, DATASET, "x", recipe).manifest.kind == "pooled"


def test_files_that_yield_nothing_are_rows_with_a_reason_and_stop_no_other(videos, folder, tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all " * 99)
    write_sound(tmp_path / "sound.mp4")
    broken = [
        VideoFile(f"jump_{kind}", tmp_path / f"{kind}.mp4", "jump") for kind in ("empty", "text", "sound", "gone")
    ]
    made = extract([*videos, *broken], DATASET, "x", motion(), shard=4)
    reasons = dict(made.failures)
    assert list(reasons) == ["jump_empty", "jump_gone", "jump_sound", "jump_text"]
    assert "0 bytes" in reasons["jump_empty"]
    assert "no video stream" in reasons["jump_sound"]
    assert rows(made.path / "failures.csv") == [["video", "reason"], *map(list, reasons.items())]
    assert sorted(frames_of()) == sorted(file.id for file in videos)
    extract(videos, DATASET, "y", motion(), shard=4)
    for video, found in frames_of("y").items():
        np.testing.assert_array_equal(found, frames_of()[video])


def test_a_truncated_file_is_decoded_as_far_as_possible_and_reported(videos, tmp_path):
    cut = write_video(tmp_path / "cut.mp4", 40, container={"movflags": "faststart"})
    cut.write_bytes(cut.read_bytes()[:-2500])
    made = extract([*videos, VideoFile("jump_cut", cut, "jump")], DATASET, "x", motion())
    assert [video for video, _ in made.warnings] == ["jump_cut"]
    assert rows(made.path / "warnings.csv")[1][0] == "jump_cut"
    assert "jump_cut" in frames_of()


def test_a_clip_on_which_the_backbone_fails_costs_its_video_only(videos, monkeypatch):
    guilty = get_reader().frames(videos[2].path)
    images = next(iter(ClipSampler(clip_len=6, clip_stride=6).clips(guilty))).images

    def fails(clip):
        if clip.shape == images.shape and (clip == images).all():
            raise ValueError("a clip that it cannot bear")

    extract(videos, DATASET, "y", brightness())
    monkeypatch.setattr(Brightness, "fails", staticmethod(fails))
    made = extract(videos, DATASET, "x", brightness())
    assert made.failures == [(videos[2].id, "brightness failed (ValueError: a clip that it cannot bear)")]
    expected = frames_of("y")
    found = frames_of()
    assert found.keys() == expected.keys() - {videos[2].id}
    assert all((found[video] == expected[video]).all() for video in found)


def failing(monkeypatch, fails):
    monkeypatch.setattr(Brightness, "fails", staticmethod(fails))


def is_noise(clip):
    return clip.shape[1:3] == (240, 320)  # no video here is so large


def shards_of(name="x"):
    return len(list(feature_path("moves", f".extract-{name}").glob("shard-*")))


@pytest.mark.parametrize("error", [ZslbenchError("wrong weights; take others."), ValueError("wrong weights")])
def test_a_backbone_that_always_fails_stops_before_any_video_is_decoded(videos, monkeypatch, error):
    tried = []

    def fails(clip):
        tried.append(clip)
        raise error

    failing(monkeypatch, fails)
    with pytest.raises(ZslbenchError, match="wrong weights"):
        extract(videos, DATASET, "x", brightness(), progress=lambda done, total: tried.extend([1] * done))
    assert len(tried) == 1
    assert is_noise(tried[0])
    monkeypatch.undo()
    assert shards_of() == 0


@pytest.mark.parametrize("shard", [1, 2])
def test_a_backbone_that_fails_on_every_video_stops_at_the_second(videos, monkeypatch, shard):
    def fails(clip):
        if not is_noise(clip):
            raise ValueError("too dark")

    failing(monkeypatch, fails)
    with pytest.raises(ZslbenchError, match=r"too dark\), and so with each of 2 videos; mend the settings .*--shard"):
        extract(videos, DATASET, "x", brightness(), shard=shard)
    assert shards_of() == 2 - shard


@pytest.mark.parametrize("lone", [0, 6])
def test_a_video_on_which_the_backbone_fails_alone_in_its_shard_is_a_row(videos, monkeypatch, lone):
    images = next(iter(ClipSampler(clip_len=6, clip_stride=6).clips(get_reader().frames(videos[lone].path)))).images

    def fails(clip):
        if clip.shape == images.shape and (clip == images).all():
            raise ValueError("a clip that it cannot bear")

    failing(monkeypatch, fails)
    made = extract(videos, DATASET, "x", brightness(), shard=1)
    assert made.failures == [(videos[lone].id, "brightness failed (ValueError: a clip that it cannot bear)")]
    assert made.manifest.n_videos == 6


def test_a_backbone_that_breaks_on_the_way_stops_and_its_failures_are_not_kept(videos, monkeypatch):
    """As a GPU does after one of its errors: nothing works any more."""
    broken = []

    def fails(clip):
        if broken:
            raise RuntimeError("CUDA error: an illegal memory access")

    failing(monkeypatch, fails)
    with pytest.raises(ZslbenchError, match=r"fails on a clip of noise \(RuntimeError: CUDA error"):
        extract(videos, DATASET, "x", brightness(), shard=2, progress=lambda done, _: broken.extend([1] * (done == 4)))
    failing(monkeypatch, lambda clip: None)
    made = extract(videos, DATASET, "x", brightness(), shard=2)
    assert (made.kept, made.failures) == (4, [])


def only(root, *kept):
    """Take away the class folders of a videos' folder, all but some; return how to bring them back."""
    away = root.with_name("away")
    away.mkdir()
    for path in [path for path in root.iterdir() if path.name not in kept]:
        path.rename(away / path.name)
    return lambda: [path.rename(root / path.name) for path in away.iterdir()]


def gone(root):
    root.rename(root.with_name("away"))
    return lambda: root.with_name("away").rename(root)


@pytest.mark.parametrize(
    ("lose", "shard"),
    [(gone, 1), (only, 1), (lambda root: only(root, "walk"), 2)],
    ids=["gone", "unmounted", "in part"],
)
def test_when_the_videos_vanish_it_stops_and_goes_on_once_they_are_back(own, tmp_path, lose, shard):
    files, back = own(), []

    def vanish(done, total):
        if done == 2:
            back.append(lose(tmp_path / "own"))

    with pytest.raises(ZslbenchError, match=r"own cannot be read any more \(.*jump_6.mp4: No such file.*bring them"):
        extract(files, DATASET, "x", brightness(), shard=shard, progress=vanish)
    assert shards_of() == 2 // shard
    back[0]()
    made = extract(own(), DATASET, "x", brightness(), shard=shard)
    assert (made.kept, made.failures) == (2, [])


def test_files_that_stay_unreadable_are_rows_each_time(own, monkeypatch):
    from zslbench.video import extract as module
    from zslbench.video import reader

    files = own()
    locked = {file.path for file in files[:2]}

    def fails(path):
        if path in locked:
            raise reader.VideoError(path, "cannot be opened (Permission denied)")

    monkeypatch.setattr(reader, "_check_file", fails)
    monkeypatch.setattr(module, "_unreadable", lambda path: "Permission denied" if path in locked else "")
    made = extract(files, DATASET, "x", brightness(), shard=3)
    assert [video for video, _ in made.failures] == ["jump_0", "jump_3"]
    again = extract(files, DATASET, "x", brightness(), shard=3, retry_failed=True)
    assert (again.kept, again.failures) == (4, made.failures)


def test_a_batch_too_large_for_the_memory_names_the_option(videos, monkeypatch):
    def fails(clip):
        if not is_noise(clip):
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(Brightness, "fails", staticmethod(fails))
    with pytest.raises(ZslbenchError, match="smaller --batch"):
        extract(videos, DATASET, "x", brightness())


def interrupted(videos, at, recipe=None, **options):
    """Extract until video number ``at``; the process is stopped there."""
    import zslbench.video.extract as module

    real = module.extract_videos
    stop = {file.id for file in videos[at:]}

    def stops(files, *args):
        for video in real(files, *args):
            if video.file.id in stop:
                raise KeyboardInterrupt
            yield video

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "extract_videos", stops)
        with pytest.raises(KeyboardInterrupt):
            extract(videos, DATASET, "x", recipe or motion(), shard=2, **options)


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
        ({"backbone": {"size": 48}, "sampler": {"clip_stride": 4}}, "begun with backbone"),
        ({"backbone": {"size": 32}, "sampler": {"clip_stride": 8}}, "begun with sampler"),
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
    with pytest.raises(ZslbenchError, match="none of 1 videos"):
        extract(empty, DATASET, "x", brightness())
    assert extract(videos[:2], DATASET, "x", motion()).manifest.n_videos == 2


def test_an_extraction_goes_on_with_shards_of_another_size(videos):
    interrupted(videos, 5)
    assert extract(videos, DATASET, "x", motion(), shard=3).kept == 4
    extract(videos, DATASET, "y", motion())
    assert content("x") == content("y")


@pytest.fixture
def own(folder, tmp_path):
    """Six videos that a test may change, and a function that finds those that are there."""
    shutil.copytree(folder, tmp_path / "own")
    (tmp_path / "own" / "walk" / "walk_5.mp4").unlink()
    return lambda: find_videos(DATASET, tmp_path / "own").files


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
    with pytest.raises(ZslbenchError, match="begun with weights"):
        extract(videos, DATASET, "x", make_recipe("brightness", weights=weights))


def test_a_full_disk_is_one_sentence_and_keeps_what_is_written(videos, monkeypatch):
    real, writes = Path.open, []

    def full(self, mode="r", *args, **more):
        if self.name == "features.npy" and mode == "wb":
            writes.append(self)
            if len(writes) == 3:
                return real(Path("/dev/full"), mode, *args, **more)
        return real(self, mode, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(ZslbenchError, match=r"cannot write .*No space left on device; free some space"):
            extract(videos, DATASET, "x", motion(), shard=2)
    assert len(writes) == 3
    assert not feature_path("moves", "x").exists()
    assert extract(videos, DATASET, "x", motion(), shard=2).kept == 4


def test_a_data_root_that_cannot_be_written_is_told_before_any_video_is_decoded(videos, data_root):
    data_root.write_text("a file where a folder should be")
    with pytest.raises(ZslbenchError, match="ZSLBENCH_DATA_ROOT"):
        extract(videos, DATASET, "x", motion(), progress=lambda done, total: pytest.fail("it began"))


def test_two_extractions_of_one_name_are_refused(videos):
    folder = feature_path("moves", ".extract-x")
    with (
        Journal(folder, settings_of(DATASET, motion())),
        pytest.raises(ZslbenchError, match="another zslbench extract is at work"),
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
    with pytest.raises(ZslbenchError, match=r"none of 1 videos yields features \(a: is empty"):
        extract([VideoFile("a", tmp_path / "a.mp4", "jump")], DATASET, "x", motion())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settings": {"sampler": {"clip_leng": 8}}}, "no parameter 'clip_leng'. Did you mean clip_len"),
        ({"settings": {"sampler": {"clip_len": 1}}}, "at least|2 frames"),
        ({"settings": {"sampler": {"clip_len": 0}}}, "sampler.clip_len"),
        ({"settings": {"pooled-krr": {"alpha": 8}}}, "--set pooled-krr"),
        ({"sampler": "segment"}, "Did you mean segments"),
        ({"reader": "pyaw"}, "Did you mean pyav"),
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

    with ahead(items(), lambda item: 10, room=30) as queue:
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

    with pytest.raises(RuntimeError, match="no further"), ahead(breaks(), lambda item: 1) as queue:
        list(queue)
    with ahead(iter(range(10**9)), lambda item: 1, room=5) as queue:
        assert next(iter(queue)) == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "decode"]


def test_a_settings_file_that_was_cut_off_is_written_anew(videos):
    folder = feature_path("moves", ".extract-x")
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text('{"backbone": "mo')
    with Journal(folder, {"backbone": "motion"}):
        assert json.loads((folder / "settings.json").read_text()) == {"backbone": "motion"}
