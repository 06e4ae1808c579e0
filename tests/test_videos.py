import copy
import gc
import pickle
from pathlib import Path

import numpy as np
import pytest

from zslbench.videos import FrameStore, SeenVideos, Videos, hidden_storage, storage

RNG = np.random.default_rng(0)
ARRAYS = [RNG.normal(size=(length, 4)).astype(np.float16) for length in (3, 1, 5, 2)]


def test_pooled_is_the_mean_of_each_videos_frames():
    expected = np.stack([a.astype(np.float64).mean(axis=0) for a in ARRAYS])
    np.testing.assert_allclose(Videos.from_arrays(ARRAYS).pooled(), expected, atol=1e-6)


def test_views_of_views_keep_rows_labels_and_order():
    seen = SeenVideos.from_arrays(ARRAYS, labels=np.array([7, 8, 9, 10]))
    view = seen.take([3, 0, 2]).take(np.array([True, False, True]))
    assert view.labels.tolist() == [10, 9]
    assert view.lengths.tolist() == [2, 5]
    np.testing.assert_array_equal(view.sequence(1), ARRAYS[2])
    assert not hasattr(view.unlabelled(), "labels")


def test_source_groups_stay_with_their_videos():
    seen = SeenVideos.from_arrays(ARRAYS, labels=np.array([7, 8, 9, 10]))
    assert len(set(seen.groups.tolist())) == 4  # of unknown sources, each video is alone
    view = seen.grouped(["b", "a", "b", "c"]).take([3, 0, 2])
    assert view.groups.tolist() == [2, 1, 1]
    assert view.relabel(np.zeros(3)).groups.tolist() == [2, 1, 1]
    assert pickle.loads(pickle.dumps(view)).groups.tolist() == [2, 1, 1]
    assert not hasattr(view.unlabelled(), "groups")


@pytest.mark.parametrize("size", [1, 3, 10])
def test_batches_hold_the_frames_of_their_videos_in_the_order_wanted(size):
    videos = Videos.from_arrays(ARRAYS)
    order = np.array([2, 0, 3])
    seen = []
    for batch in videos.batches(size, order):
        at = 0
        for place, length in zip(batch.index, batch.lengths, strict=True):
            np.testing.assert_array_equal(batch.frames[at : at + length], ARRAYS[place])
            at += length
            seen.append(place)
        assert at == len(batch.frames)
    assert seen == order.tolist()


def test_pooled_features_cannot_be_changed_for_others():
    videos = Videos.from_arrays(ARRAYS)
    videos.pooled()[:] = 0
    assert videos.pooled().any()


def objects_within(thing):
    """Return all objects that a view refers to, without classes, modules and functions."""
    found, waiting = {}, [thing]
    while waiting:
        each = waiting.pop()
        if id(each) not in found and type(each).__name__ not in ("type", "module", "function"):
            found[id(each)] = each
            waiting += gc.get_referents(each)
    return list(found.values())


@pytest.mark.parametrize("kind", ["whole", "take", "join", "copy", "deepcopy", "unlabelled"])
def test_a_view_refers_to_nothing_that_shows_where_its_videos_are_stored(kind):
    seen = SeenVideos.from_arrays(ARRAYS, labels=np.array([0, 1, 0, 1]))
    view = {
        "whole": lambda: seen,
        "take": lambda: seen.take([2, 0]),
        "join": lambda: seen.take([3]).join(Videos.from_arrays(ARRAYS)),
        "copy": lambda: copy.copy(seen),
        "deepcopy": lambda: copy.deepcopy(seen),
        "unlabelled": seen.unlabelled,
    }[kind]()
    arrays = [each for each in objects_within(view) if isinstance(each, np.ndarray | FrameStore)]
    assert {id(each) for each in arrays} == {id(each) for each in vars(view).values()}
    made = [view.pooled(), view.sequence(0), *(batch.frames for batch in view.batches(2))]
    assert all(each.base is None for each in (*made, view.lengths))  # no array leads to those of other videos


def test_a_copied_or_pickled_view_has_the_same_videos_and_no_others():
    seen = SeenVideos.from_arrays(ARRAYS, labels=np.array([0, 1, 0, 1])).take([2, 0])
    for again in (copy.copy(seen), copy.deepcopy(seen), pickle.loads(pickle.dumps(seen))):
        np.testing.assert_array_equal(again.pooled(), seen.pooled())
        assert again.labels.tolist() == seen.labels.tolist()
    assert len(storage(pickle.loads(pickle.dumps(seen))).store.lengths) == 2


def test_no_storage_is_shown_while_a_method_runs():
    view = Videos.from_arrays(ARRAYS)
    with hidden_storage(), pytest.raises(RuntimeError, match=r"use videos.pooled\(\)"):
        storage(view)
    assert storage(view).rows.tolist() == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_reading_a_mapped_set_through_keeps_its_pages_out_of_the_process(tmp_path):
    """A job's memory limit counts mapped pages: 1 GiB read in batches must not stay resident."""
    import subprocess
    import sys

    path = tmp_path / "frames.npy"
    frames = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(1 << 20, 512))
    frames.flush()
    code = (
        "import sys, numpy as np\n"
        "from zslbench.videos import FrameStore, Videos\n"
        "frames = np.load(sys.argv[1], mmap_mode='r')\n"
        "n = len(frames) // 64\n"
        "videos = Videos(FrameStore(frames, np.arange(n) * 64, np.full(n, 64)), np.arange(n))\n"
        "assert sum(len(b.frames) for b in videos.batches(64)) == len(frames)\n"
        "print([l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 600 * 1024
