"""The reader: indices, times and images of sound files; as much as possible of damaged ones, and why."""

import pickle
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from videos_made import number, write_sound, write_video

from zslbench.errors import ZslbenchError
from zslbench.video import reader_pyav
from zslbench.video.reader import Decoded, Frame, VideoError
from zslbench.video.reader_pyav import PyAVReader

pytestmark = pytest.mark.versions


@pytest.fixture
def read():
    return PyAVReader().frames


def numbers(frames):
    return [number(frame.image) for frame in frames]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mp4", {}),
        ("a.mp4", {"bf": "3", "b_strategy": "0"}),
        ("a.mkv", {}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.avi", {"codec": "mpeg4", "bf": "2"}),
        ("a.gif", {"codec": "gif"}),
        ("a.mkv", {"codec": "ffv1", "size": (63, 47)}),
        ("a.mp4", {"audio": True}),
    ],
)
def test_frames_come_in_order_with_their_index_time_and_image(tmp_path, read, name, settings):
    size = settings.get("size", (64, 48))
    decoded = read(write_video(tmp_path / name, 30, **settings))
    frames = list(decoded)
    assert [frame.index for frame in frames] == list(range(30)) == numbers(frames)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(30) / 25, atol=1e-6)
    assert frames[0].image.shape == (*size[::-1], 3)
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image[2, 2].min() > 240
    assert (decoded.n_frames, decoded.warnings) == (30, [])


def test_a_file_can_be_gone_through_twice_and_given_up(tmp_path, read):
    decoded = read(write_video(tmp_path / "a.mp4", 12))
    next(iter(decoded))
    assert numbers(decoded) == numbers(decoded) == list(range(12))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_times_of_a_variable_frame_rate_come_from_the_time_stamps(tmp_path, read, name):
    times = [0, 40, 200, 210, 1000]
    frames = list(read(write_video(tmp_path / name, 5, pts=times)))
    np.testing.assert_allclose([frame.time for frame in frames], np.array(times) / 1000, atol=1e-6)
    assert numbers(frames) == [0, 1, 2, 3, 4]


def test_times_begin_at_the_first_frame(tmp_path, read):
    frames = list(read(write_video(tmp_path / "a.mkv", 3, pts=[5000, 5100, 5300])))
    np.testing.assert_allclose([frame.time for frame in frames], [0, 0.1, 0.3], atol=1e-6)


def clocked(container, *stamps):
    """Return the times that frames with these (presentation, decoding) stamps, in quarters of a second, get."""
    stream = SimpleNamespace(time_base=Fraction(1, 4), average_rate=Fraction(4), base_rate=None)
    clock = reader_pyav._Clock(stream, container)
    return [4 * clock(SimpleNamespace(pts=pts, dts=dts)) for pts, dts in stamps]


def test_stamps_that_run_backwards_give_way_and_times_never_decrease():
    assert clocked("mov", (2, 0), (3, 1), (5, 2), (8, 3)) == [0, 1, 3, 6]
    assert clocked("mov", (2, 1), (3, 2), (2, 3), (1, 4), (0, 6)) == [0, 1, 1, 2, 4]
    assert clocked("avi", (1, 1), (2, 2), (4, 3), (3, 4), (5, None)) == [0, 1, 2, 3, 4]
    assert clocked("mov", (None, None), (None, None), (None, 5)) == [0, 1, 5]
    assert clocked("mov", (2, 2), (5, 5), (3, 4)) == [0, 3, 3]


@pytest.mark.parametrize(
    ("rotate", "expected"),
    [
        ((90,), lambda image: np.rot90(image, 1)),
        ((180,), lambda image: np.rot90(image, 2)),
        ((-90,), lambda image: np.rot90(image, 3)),
        ((0, True), np.fliplr),
        ((90, True), lambda image: np.fliplr(np.rot90(image, 1))),
        ((0, False, True), np.flipud),
    ],
)
def test_turned_and_mirrored_videos_are_made_upright(tmp_path, read, rotate, expected):
    stored = next(iter(read(write_video(tmp_path / "plain.mp4", 1)))).image
    turned = next(iter(read(write_video(tmp_path / "turned.mp4", 1, rotate=rotate)))).image
    np.testing.assert_array_equal(turned, expected(stored))


def test_a_part_keeps_the_indices_of_the_whole_stream(tmp_path, read):
    path = write_video(tmp_path / "a.mp4", 40)
    assert [f.index for f in read(path, 0.4, 0.6)] == [10, 11, 12, 13, 14] == numbers(read(path, 0.4, 0.6))
    assert [f.index for f in read(path, end=0.08)] == [0, 1]
    assert [f.index for f in read(path, start=1.5)] == [38, 39]
    with pytest.raises(VideoError, match=r"from 5 s on was asked for, but its last frame is at 1\.6 s"):
        list(read(path, 5, 6))


def test_frames_that_nobody_looks_at_are_not_converted(tmp_path, read, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 6)
    asked = []
    monkeypatch.setattr(
        reader_pyav._ToRGB, "__call__", lambda self, frame: asked.append(1) or np.zeros((1, 1, 3), np.uint8)
    )
    frames = list(read(path))
    assert not asked
    assert frames[3].image is frames[3].image
    assert len(asked) == 1


def test_a_truncated_file_yields_the_frames_that_are_there_and_says_so(tmp_path, read):
    path = write_video(tmp_path / "a.mp4", 40, container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-2500])
    decoded = read(path)
    seen = numbers(decoded)
    assert 5 < len(seen) < 40
    assert seen == list(range(len(seen)))
    assert f"only {len(seen)} of the 40 frames" in decoded.warnings[-1]


def test_a_truncated_matroska_file_is_told_by_its_length(tmp_path, read):
    path = write_video(tmp_path / "a.mkv", 100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    decoded = read(path)
    assert 0 < len(list(decoded)) < 80
    assert "of the 4.0 s that it announces" in decoded.warnings[0]


def test_a_hole_costs_its_own_frames_only(tmp_path, read):
    path = write_video(tmp_path / "a.mp4", 40, container={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    middle = (data.find(b"mdat") + len(data)) // 2
    data[middle : middle + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(data)
    decoded = read(path)
    frames = list(decoded)
    assert 30 < len(frames) < 40
    assert frames[-1].time == pytest.approx(39 / 25)
    assert "damaged packet" in decoded.warnings[0]


def test_no_index_is_needed(tmp_path, read):
    path = write_video(tmp_path / "a.avi", 40, codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"idx1")])
    assert numbers(read(path)) == list(range(40))


def test_a_matroska_file_without_cues_is_read(tmp_path, read):
    class Pipe:  # what cannot seek has no index at its end
        def __init__(self, stream):
            self.write = stream.write

    with (tmp_path / "a.mkv").open("wb") as stream:
        write_video(tmp_path / "a.mkv", 20, file=Pipe(stream), form="matroska")
    assert numbers(read(tmp_path / "a.mkv")) == list(range(20))


def test_a_file_that_yields_nothing_says_why(tmp_path, read):
    sound = write_sound(tmp_path / "sound.m4a")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.avi").write_text("no video at all")
    headless = write_video(tmp_path / "headless.mp4", 40)
    headless.write_bytes(headless.read_bytes()[:2000])
    reasons = {
        sound: "has no video stream (audio only)",
        tmp_path / "empty.mp4": "is empty (0 bytes)",
        tmp_path / "text.avi": "cannot be opened as a video (Invalid data found when processing input)",
        headless: "cannot be opened as a video (Invalid data found when processing input)",
        tmp_path / "gone.mp4": "does not exist",
        tmp_path: "is not a file",
    }
    for path, reason in reasons.items():
        with pytest.raises(VideoError) as error:
            list(read(path))
        assert (error.value.path, error.value.reason) == (path, reason)
        assert str(error.value) == f"{path} {reason}."


def test_a_video_error_survives_the_way_from_a_worker(tmp_path):
    error = pickle.loads(pickle.dumps(VideoError(tmp_path / "a.mp4", "is empty (0 bytes)")))
    assert (error.reason, error.path.name) == ("is empty (0 bytes)", "a.mp4")


def test_a_stream_without_frames_is_an_error(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("x")

    def nothing(decoded):
        decoded.warnings.append("it breaks off")
        yield from ()

    with pytest.raises(VideoError, match="yields no frame; it breaks off"):
        list(Decoded(path, nothing))


def test_the_reader_names_itself_and_what_is_missing_is_told(monkeypatch):
    import av

    assert PyAVReader().name.startswith(f"pyav {av.__version__}, libavcodec ")
    monkeypatch.setattr(reader_pyav, "find_spec", lambda name: None)
    with pytest.raises(ZslbenchError, match=r"pip install 'zslbench\[video\]'"):
        PyAVReader()


def test_images_are_those_of_pyavs_own_conversion(tmp_path, read):
    import av

    path = write_video(tmp_path / "a.mp4", 8, size=(66, 50))
    with av.open(str(path)) as container:
        plain = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for frame, expected in zip(read(path), plain, strict=True):
        np.testing.assert_array_equal(frame.image, expected)


def test_a_frame_takes_an_image_as_it_is():
    image = np.zeros((2, 2, 3), np.uint8)
    assert Frame(0, 0.0, image).image is image


@pytest.mark.real
@pytest.mark.parametrize(
    ("clip", "n", "seconds", "shape"),
    [
        ("apply_eye_makeup/v_ApplyEyeMakeup_g01_c01.avi", 164, 163 / 25, (240, 320, 3)),
        ("arm_wrestling/damaged_tail.mp4", 280, 279 / 28, (256, 340, 3)),
        ("cricket_shot/v_CricketShot_g04_c01_rgb.gif", 79, 78 / 25, (224, 224, 3)),
        ("flipping_pancake/flipping_a_pancake.mkv", 310, 10.3, (240, 426, 3)),
        ("walking_dog/v_ZNVhz7ctTq0.mp4", 420, 419 / 30, (360, 480, 3)),
    ],
)
def test_real_clips_are_decoded_whole_with_growing_times(shared_data, read, clip, n, seconds, shape):
    decoded = read(shared_data / "clips" / clip)
    times = []
    for frame in decoded:
        times.append(frame.time)
        last = frame
    assert (decoded.n_frames, decoded.warnings) == (n, [])
    assert times[0] == 0
    assert np.all(np.diff(times) > 0)  # UCF101's AVI files: their presentation stamps run back and forth
    assert times[-1] == pytest.approx(seconds, abs=1e-6)
    assert last.image.shape == shape


@pytest.mark.real
def test_a_real_clip_that_breaks_off_is_read_as_far_as_it_goes(shared_data, read, tmp_path):
    data = (shared_data / "clips" / "flipping_pancake" / "flipping_a_pancake.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 3])
    decoded = read(tmp_path / "a.mkv")
    assert 50 < sum(1 for _ in decoded) < 200
    assert "that it announces" in decoded.warnings[-1]
