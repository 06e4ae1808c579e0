import multiprocessing
import os
import shutil

import numpy as np
import pytest

from zslbench.datasets.dataset import Dataset
from zslbench.features import kept_means
from zslbench.features.catalog import derive_features, open_features, remove_features
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.features.kept_means import KEPT_MEANS, KeptMeansStore, check_kept_means
from zslbench.files import new_directory
from zslbench.videos import FrameStore

TOY = Dataset("toy", "Toy", ("A", "B"), {"plain": {}})
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small_sets_are_worth_keeping(monkeypatch):
    monkeypatch.setattr(kept_means, "_WORTH_KEEPING", 0)


def write(frames, name="x", lengths=(2, 4, 6), tokens=1):
    """Write three videos."""
    frames = frames.astype(np.float32)
    with new_directory(feature_path("toy", name), replace=True) as work:
        writer = FeatureWriter(work, frames.shape[1], "float32")
        writer.append(["u", "v", "w"], ["A", "B", "A"], [""] * 3, [""] * 3, np.array(lengths), frames)
        writer.finish(
            dataset="toy", name=name, kind="sequences", extractor="e", classes_digest=TOY.digest, tokens=tokens
        )
    return open_features(TOY, name)


@pytest.fixture
def features():
    return write(RNG.normal(size=(12, 5)))


@pytest.fixture
def readings(monkeypatch):
    """Return a list that grows by one whenever all frames are read to be pooled."""
    found, original = [], FrameStore._pool
    monkeypatch.setattr(FrameStore, "_pool", lambda store: found.append(store) or original(store))
    return found


def again(features):
    return open_features(TOY, features.path.name).store.pooled()


def test_frames_are_read_once_by_all_commands_and_the_means_are_the_same_bits(features, readings):
    first = features.store.pooled()
    np.testing.assert_array_equal(again(features), first)
    np.testing.assert_allclose(first[1], features.store.frames[2:6].mean(axis=0), rtol=1e-5)
    assert len(readings) == 1
    assert not again(features).flags.writeable


def test_with_patches_only_the_frames_count(readings):
    features = write(RNG.normal(size=(12, 5)), tokens=2)
    features.store.pooled()
    np.testing.assert_allclose(again(features)[1], features.store.frames[2:6:2].mean(axis=0), rtol=1e-5)
    assert len(readings) == 1


def test_digest_manifest_and_checksums_are_those_without_the_file(features):
    before = (features.path / "manifest.json").read_bytes(), features.manifest.digest
    features.store.pooled()
    found = open_features(TOY, "x")
    found.verify()
    assert ((features.path / "manifest.json").read_bytes(), found.manifest.digest) == before


def flip(path):
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-9])


def empty(path):
    path.write_bytes(b"")


def other_values(path):
    with np.load(path) as arrays:
        content = dict(arrays)
    content["means"] = content["means"] + 1
    np.savez(path, **content)


def other_shape(path):
    np.savez(path, means=np.zeros((2, 5), dtype=np.float32), checksum=np.array("0"))


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [flip, truncate, empty, other_values, other_shape])
def test_a_damaged_file_is_never_read_as_data_and_made_again(features, readings, damage):
    expected = features.store.pooled()
    damage(features.path / KEPT_MEANS)
    for _ in range(2):
        np.testing.assert_array_equal(again(features), expected)
    assert len(readings) == 2


def test_what_cannot_be_replaced_is_no_obstacle(features):
    expected = features.store.pooled()
    folder(features.path / KEPT_MEANS)
    np.testing.assert_array_equal(again(features), expected)


def test_means_of_other_frames_are_not_taken(features, readings):
    features.store.pooled()
    other = write(RNG.normal(size=(12, 5)), "y")
    shutil.copy(features.path / KEPT_MEANS, other.path)
    np.testing.assert_allclose(again(other)[0], other.store.frames[:2].mean(axis=0), rtol=1e-5)
    other = write(features.store.frames, "z", lengths=(1, 5, 6))  # the same file, divided in another way
    shutil.copy(features.path / KEPT_MEANS, other.path)
    np.testing.assert_allclose(again(other)[0], other.store.frames[0], rtol=1e-5)


def test_replaced_features_have_means_of_their_own(features):
    features.store.pooled()
    other = write(RNG.normal(size=(12, 5)))
    np.testing.assert_allclose(again(features)[0], other.store.frames[:2].mean(axis=0), rtol=1e-5)


def test_verify_finds_means_with_a_right_checksum_of_wrong_values(features):
    store = features.store
    assert check_kept_means(store)  # there are none
    store._keep(store.pooled() + 1)
    assert not check_kept_means(store)
    assert not (features.path / KEPT_MEANS).exists()
    store._keep(store.pooled())
    assert check_kept_means(store)


def test_small_and_pooled_sets_keep_nothing(features, monkeypatch):
    write(RNG.normal(size=(3, 5)), "pooled", lengths=(1, 1, 1)).store.pooled()
    assert not (feature_path("toy", "pooled") / KEPT_MEANS).exists()
    monkeypatch.setattr(kept_means, "_WORTH_KEEPING", 1 << 20)
    features.store.pooled()
    assert not (features.path / KEPT_MEANS).exists()


def test_a_folder_that_cannot_be_written_is_read(features, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kept_means.FileLock, "acquire", refuse)
    monkeypatch.setattr(kept_means, "new_file", refuse)
    assert features.store.pooled().shape == (3, 5)
    assert not (features.path / KEPT_MEANS).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_to_write_is_read(features):
    features.path.chmod(0o555)
    try:
        assert again(features).shape == (3, 5)
    finally:
        features.path.chmod(0o755)


def test_what_a_killed_process_left_is_removed(features):
    left = features.path / f".unfinished-0123-{KEPT_MEANS}"
    left.write_bytes(b"half")
    features.store.pooled()
    assert not left.exists()


def test_a_derived_set_uses_the_means_of_its_parent(features, readings):
    features.store.pooled()
    derived = derive_features(TOY, "x", "x-pca", k=2, fit="all")
    assert derived.store.pooled().shape == (3, 2)
    assert len(readings) == 1
    assert not (derived.path / KEPT_MEANS).exists()


def _pool(store, started, readings):
    original = FrameStore._pool

    def counted(frames):
        readings.put(1)
        return original(frames)

    FrameStore._pool = counted
    started.wait()
    store.pooled()


def test_commands_side_by_side_read_the_frames_once(features):
    context = multiprocessing.get_context("fork")
    started, readings = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_pool, args=(features.store, started, readings)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    readings.put(0)
    assert [readings.get(), readings.get()] == [1, 0]


def test_removing_a_feature_set_removes_its_means(features):
    features.store.pooled()
    assert not remove_features("toy", "x").exists()


def test_the_store_is_a_frame_store_with_the_same_frames(features):
    assert isinstance(features.store, KeptMeansStore)
    np.testing.assert_array_equal(features.store.gather(np.array([1])), features.store.frames[2:6])
