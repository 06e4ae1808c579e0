"""Samplers against hand-computed indices and a slow reference that has all frames in a list."""

import math
import weakref
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from zslbench.video.reader import Frame
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.sampling import ClipSampler, SegmentSampler, WholeVideo, resample


def frames_at(times):
    return [Frame(i, t, np.full((1, 1, 3), i % 256, np.uint8)) for i, t in enumerate(times)]


def steady(n, fps):
    return frames_at([i / fps for i in range(n)])


def taken(sampler, frames):
    return [clip.indices.tolist() for clip in sampler.clips(frames)]


def resampled(frames, *args):
    return [frame.index for frame in resample(frames, *args)]


# --- Action2Vec's 52 slots (spec: 14 s at 30 fps are 420 frames) ---


def test_420_frames_are_51_full_clips_and_a_52nd_that_lacks_four():
    padded = taken(ClipSampler(), steady(420, 30))
    assert len(padded) == 52
    assert [clip[0] for clip in padded] == list(range(0, 416, 8))
    assert padded[50] == list(range(400, 416))
    assert padded[51] == [*range(408, 420), 419, 419, 419, 419]
    dropped = taken(ClipSampler(tail="drop"), steady(420, 30))
    assert dropped == padded[:51]


def test_stride_16_gives_26_clips():
    assert len(taken(ClipSampler(clip_stride=16, tail="drop"), steady(420, 30))) == 26
    assert len(taken(ClipSampler(clip_stride=16), steady(420, 30))) == 27


def test_longer_videos_are_cut_at_14_seconds_and_not_decoded_further():
    asked = []

    def frames():
        for frame in steady(10_000, 30):
            asked.append(frame.index)
            yield frame

    assert taken(ClipSampler(), frames())[-1][-1] == 419
    assert len(asked) <= 421


@pytest.mark.parametrize(("n", "clips"), [(1, 1), (15, 1), (16, 1), (17, 2), (24, 2), (25, 3), (32, 3)])
@pytest.mark.parametrize("tail", ["pad", "drop"])
def test_the_last_clip_is_padded_where_frames_are_left_behind(n, clips, tail):
    found = taken(ClipSampler(tail=tail), steady(n, 30))
    assert len(found) == (clips if tail == "pad" else max(1, (n - 16) // 8 + 1))
    if tail == "pad":
        assert found[-1][-1] == n - 1
        assert {i for clip in found for i in clip} == set(range(n))


def test_no_frames_give_no_clips():
    assert taken(ClipSampler(), []) == taken(WholeVideo(), []) == taken(SegmentSampler(), []) == []


def test_strides_longer_than_a_clip_leave_frames_out():
    sampler = ClipSampler(clip_len=2, clip_stride=5, fps=None, max_seconds=None, n_slots=None)
    assert taken(sampler, steady(12, 25)) == [[0, 1], [5, 6], [10, 11]]
    assert taken(sampler, steady(11, 25)) == [[0, 1], [5, 6], [10, 10]]
    assert taken(sampler, steady(9, 25)) == [[0, 1], [5, 6]]


# --- resampling ---


def test_100_frames_at_25_become_120_at_30():
    places = resampled(steady(100, 25), 30.0)
    assert len(places) == 120
    assert places[:13] == [0, 1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10]  # 5 k / 6 to the nearest, halves down
    assert places[-2:] == [98, 99]


def test_60_become_30_by_every_second_frame():
    assert resampled(steady(60, 60), 30.0) == list(range(0, 60, 2))


def test_a_pause_repeats_the_frame_that_is_nearest():
    assert resampled(frames_at([0.0, 0.1, 0.5, 0.6]), 10.0) == [0, 1, 1, 1, 2, 2, 3, 3]


def test_rounded_times_of_matroska_count_as_the_frame_rate_that_they_stand_for():
    frames = frames_at([round(i / 30, 3) for i in range(420)])
    assert resampled(frames, 30.0) == list(range(420))


def test_a_single_frame_is_one_frame():
    assert resampled(steady(1, 30), 30.0) == [0]


def test_times_need_not_begin_at_zero():
    frames = [Frame(i, 20 + i / 30, np.zeros((1, 1, 3), np.uint8)) for i in range(600, 1100)]
    assert resampled(frames, 30.0, 14.0) == list(range(600, 1020))
    assert resampled(frames, None, 14.0) == list(range(600, 1020))


def reference_resample(times, fps, max_seconds):
    """Targets by the rule of the module's text, each with the nearest of all frames."""
    first, last, n = times[0], times[-1], len(times)
    if fps is None:
        return [i for i, t in enumerate(times) if max_seconds is None or t - first < max_seconds - 1e-9]
    end = last + (last - first) / (n - 1) if n > 1 else last
    places, k = [], 0
    while max_seconds is None or k / fps < max_seconds - 1e-9:
        target = first + k / fps
        half_inside = first + (k + 0.5) / fps <= end + 1e-9 / fps
        if k and target > last + 1e-9 and not half_inside:
            break
        gaps = [abs(t - target) for t in times]
        places.append(next(i for i, gap in enumerate(gaps) if gap <= min(gaps) + 1e-9))
        k += 1
    return places


def reference_clips(places, length, stride, n_slots, tail):
    starts = [s for s in range(0, len(places), stride) if s + length <= len(places)]
    clips = [places[s : s + length] for s in starts]
    rest = starts[-1] + stride if starts else 0
    reached = starts[-1] + length if starts else 0
    if not starts or (tail == "pad" and reached < len(places) and rest < len(places)):
        part = places[rest:]
        clips.append(part + part[-1:] * (length - len(part)))
    return clips[:n_slots]


# Whole milliseconds, as containers have them, and rates that divide a second into whole half-milliseconds or not.
gaps = st.lists(st.integers(1, 400), min_size=0, max_size=60)
rates = st.sampled_from([None, 1.0, 7.5, 10.0, 23.976, 25.0, 30.0])


@settings(deadline=None, max_examples=300)
@given(gaps=gaps, fps=rates, seconds=st.sampled_from([None, 0.5, 2.0, 14.0]))
def test_resampling_agrees_with_a_search_among_all_frames(gaps, fps, seconds):
    times = (np.cumsum([0, *gaps]) / 1000).tolist()
    places, expected = resampled(frames_at(times), fps, seconds), reference_resample(times, fps, seconds)
    assert len(places) == len(expected)
    for k, (a, b) in enumerate(zip(places, expected, strict=True)):
        if a != b:  # two frames equally near but for rounding
            assert abs(times[a] - k / fps) == pytest.approx(abs(times[b] - k / fps), abs=3e-9)


@settings(deadline=None, max_examples=300)
@given(
    n=st.integers(1, 120),
    length=st.integers(1, 20),
    stride=st.integers(1, 25),
    slots=st.sampled_from([None, 1, 3, 52]),
    tail=st.sampled_from(["pad", "drop"]),
)
def test_clips_agree_with_slices_of_a_list(n, length, stride, slots, tail):
    sampler = ClipSampler(clip_len=length, clip_stride=stride, fps=None, max_seconds=None, n_slots=slots, tail=tail)
    found = list(sampler.clips(steady(n, 25)))
    assert [c.indices.tolist() for c in found] == reference_clips(list(range(n)), length, stride, slots, tail)
    for clip in found:
        assert clip.images.shape == (length, 1, 1, 3)
        assert clip.images[:, 0, 0, 0].tolist() == clip.indices.tolist()
        np.testing.assert_allclose(clip.times, clip.indices / 25)


@settings(deadline=None)
@given(n=st.integers(1, 200), length=st.integers(1, 30))
def test_the_whole_video_is_every_frame_once_and_padding(n, length):
    clips = taken(WholeVideo(clip_len=length), steady(n, 25))
    flat = [i for clip in clips for i in clip]
    assert flat[:n] == list(range(n))
    assert set(flat[n:]) <= {n - 1}
    assert len(flat) - n < length


def test_no_more_than_a_clip_of_frames_is_held():
    held, most = weakref.WeakSet(), 0

    class Held(Frame):
        __slots__ = ("__weakref__",)

    def frames():
        nonlocal most
        for i in range(3000):
            frame = Held(i, i / 60, np.zeros((1, 1, 3), np.uint8))
            held.add(frame)
            most = max(most, len(held))
            yield frame

    sampler = ClipSampler(max_seconds=None, n_slots=None)
    assert sum(1 for _ in sampler.clips(frames())) == math.ceil((1500 - 16) / 8) + 1
    assert most <= 16 + 3


# --- segments ---


@pytest.mark.parametrize(
    ("n", "k", "m", "expected"),
    [
        (80, 8, 1, [[5], [15], [25], [35], [45], [55], [65], [75]]),
        (10, 3, 1, [[1], [5], [8]]),  # middles 1.67, 5, 8.33
        (3, 8, 1, [[0], [0], [0], [1], [1], [2], [2], [2]]),  # middles 0.19, 0.56, 0.94, 1.31, 1.69, 2.06, ...
        (40, 2, 5, [[8, 9, 10, 11, 12], [28, 29, 30, 31, 32]]),  # middles 10 and 30
        (4, 2, 3, [[0, 1, 2], [1, 2, 3]]),  # the second, from 2 on, is moved into the video
        (2, 1, 4, [[0, 1, 1, 1]]),
    ],
)
def test_segments_are_sampled_in_their_middle(n, k, m, expected):
    sampler = SegmentSampler(n_segments=k, frames_per_segment=m)
    assert taken(sampler, steady(n, 25)) == expected
    joined = SegmentSampler(n_segments=k, frames_per_segment=m, joined=True)
    assert taken(joined, steady(n, 25)) == [[place for segment in expected for place in segment]]


@given(n=st.integers(1, 300), k=st.integers(1, 12), m=st.integers(1, 16))
def test_segments_lie_in_the_video_and_are_ordered(n, k, m):
    places = SegmentSampler(n_segments=k, frames_per_segment=m).indices(n)
    assert places.shape == (k, m)
    assert places.min() >= 0
    assert places.max() < n
    assert np.all(np.diff(places[:, 0]) >= 0)
    if m == 1:
        assert all(i * n // k <= place <= ((i + 1) * n - 1) // k for i, place in enumerate(places[:, 0].tolist()))


class Announcing(list):
    """Frames whose file says how many they are, and which count how often they are gone through."""

    def __init__(self, frames, announced):
        super().__init__(frames)
        self.announced, self.times = announced, 0

    def __iter__(self):
        self.times += 1
        return super().__iter__()


@pytest.mark.parametrize(("announced", "times"), [(50, 1), (49, 2), (60, 2), (0, 2)])
def test_a_wrong_announcement_costs_a_second_pass_and_changes_nothing(announced, times):
    frames = Announcing(steady(50, 25), announced)
    assert taken(SegmentSampler(n_segments=5), frames) == [[5], [15], [25], [35], [45]]
    assert frames.times == times


def test_segments_refuse_frames_that_come_only_once():
    with pytest.raises(TypeError, match="iterated twice"):
        next(SegmentSampler().clips(iter(steady(10, 25))))


# --- parameters ---


@pytest.mark.parametrize("wrong", [{"clip_len": 0}, {"clip_stride": 0}, {"fps": 0}, {"tail": "wrap"}, {"stride": 8}])
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        ClipSampler(**wrong)


def test_samplers_describe_themselves():
    assert ClipSampler().describe() == (
        "clips of 16 frames with a stride of 8 at 30 fps (nearest frame), first 14 s, at most 52 clips, "
        "incomplete last clip padded"
    )
    assert WholeVideo().describe() == (
        "clips of 16 frames with a stride of 16 at the stored frame rate, whole video, incomplete last clip padded"
    )
    assert SegmentSampler().describe() == "the frame in the middle of each of 8 equal segments"


@pytest.mark.real
def test_a_real_14_second_clip_fills_all_52_slots(shared_data):
    path = shared_data / "clips" / "walking_dog" / "v_ZNVhz7ctTq0.mp4"
    (last,) = islice(ClipSampler(n_slots=None).clips(PyAVReader().frames(path)), 51, None)
    assert last.indices.tolist() == [*range(408, 420), *[419] * 4]
    assert last.images.shape == (16, 360, 480, 3)
    joined = list(SegmentSampler(joined=True).clips(PyAVReader().frames(path)))
    assert joined[0].indices.tolist() == [26, 78, 131, 183, 236, 288, 341, 393]
