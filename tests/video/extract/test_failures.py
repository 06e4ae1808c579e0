"""What is left of an extraction when a file, a backbone, the memory or the disk fails."""

from pathlib import Path

import numpy as np
import pytest
from extraction import DATASET, Brightness, brightness, failing, frames_of, is_noise, motion, rows, shards_of
from videos_made import write_sound, write_video

from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import feature_path
from zslbench.video.extract import extract
from zslbench.video.folders import VideoFile
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.sampling import ClipSampler


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
    guilty = PyAVReader().frames(videos[2].path)
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
    with pytest.raises(ZslbenchError, match=r"too dark\), and so on each of 2 videos; fix the settings .*--shard"):
        extract(videos, DATASET, "x", brightness(), shard=shard)
    assert shards_of() == 2 - shard


@pytest.mark.parametrize("lone", [0, 6])
def test_a_video_on_which_the_backbone_fails_alone_in_its_shard_is_a_row(videos, monkeypatch, lone):
    images = next(iter(ClipSampler(clip_len=6, clip_stride=6).clips(PyAVReader().frames(videos[lone].path)))).images

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
def test_when_the_videos_vanish_it_stops_and_goes_on_once_they_are_back(own, tmp_path, monkeypatch, lose, shard):
    from zslbench.video import reader

    files, back, check = own(), [], reader._check_file

    def vanish(path):
        if path == files[2].path:
            back.append(lose(tmp_path / "own"))
        check(path)

    told = r"own cannot be read any more \(.*jump_6.mp4: No such file.*restore them"
    with monkeypatch.context() as patch:
        patch.setattr(reader, "_check_file", vanish)
        with pytest.raises(ZslbenchError, match=told):
            extract(files, DATASET, "x", brightness(), shard=shard)
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
