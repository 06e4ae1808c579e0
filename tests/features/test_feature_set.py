"""Feature sets on disk: what is read back, and that damage is never read as data."""

import json

import numpy as np
import pytest

from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.catalog import list_features, open_features, remove_features
from zslbench.features.feature_set import FeatureSet, FeatureWriter, feature_path
from zslbench.files import new_directory

TOY = Dataset("toy", "Toy", ("A", "B", "C"), {"plain": {}})
FRAMES = np.arange(40, dtype=np.float32).reshape(10, 4)


def write(name="x", frames=FRAMES, dtype="float32", dataset=TOY, **manifest):
    """Write four videos of 2, 3, 1 and 4 frames in two appends."""
    provenance = {"kind": "sequences", "extractor": "e", "classes_digest": dataset.digest} | manifest
    with new_directory(feature_path(dataset.name, name)) as work:
        writer = FeatureWriter(work, 4, dtype)
        writer.append(["v1", "v2"], ["A", "B"], ["g1", ""], ["train", "test"], np.array([2, 3]), frames[:5])
        writer.append(["v3", "v4"], ["A", "A"], ["g1", "g2"], ["test", "train"], np.array([1, 4]), frames[5:])
        return writer.finish(dataset=dataset.name, name=name, **provenance)


@pytest.fixture
def folder():
    write()
    return feature_path("toy", "x")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_written_is_read(dtype):
    manifest = write(dtype=dtype)
    features = open_features(TOY, "x")
    assert features.manifest == manifest
    assert (manifest.n_videos, manifest.n_frames, manifest.dim, manifest.dtype) == (4, 10, 4, dtype)
    assert features.ids == ["v1", "v2", "v3", "v4"]
    assert features.labels.tolist() == [0, 1, 0, 0]
    assert features.lengths.tolist() == [2, 3, 1, 4]
    assert features.groups == ["g1", "", "g1", "g2"]
    assert features.official == ["train", "test", "test", "train"]
    assert features.has_official_lists
    assert isinstance(features.store.frames, np.memmap)
    assert not features.store.frames.flags.writeable
    np.testing.assert_array_equal(features.store.gather(np.array([3, 1])), np.concatenate([FRAMES[6:], FRAMES[2:5]]))
    np.testing.assert_allclose(features.store.pooled()[1], FRAMES[2:5].mean(axis=0))


def test_part_of_the_classes_is_labelled(folder):
    features = open_features(TOY, "x")
    assert features.covered == ("A", "B")
    assert features.counts == {"A": 3, "B": 1}
    assert features.title == "toy@x: 2 of 3 classes"
    two = Dataset("two", "Two", ("A", "B"), {"plain": {}})
    write(dataset=two)
    assert open_features(two, "x").title == "two@x"


def test_the_files_can_be_read_without_us(folder):
    import pandas as pd

    assert sorted(p.name for p in folder.iterdir()) == [
        "checked.json",
        "features.npy",
        "manifest.json",
        "videos.parquet",
    ]
    np.testing.assert_array_equal(np.load(folder / "features.npy", allow_pickle=False), FRAMES)
    table = pd.read_parquet(folder / "videos.parquet")
    assert table.columns.tolist() == ["id", "class", "group", "official", "offset", "length"]
    assert table["offset"].tolist() == [0, 2, 5, 6]


def test_the_digest_is_of_content_and_provenance():
    first = write("x", created="today", source="here.npy").digest
    remove_features("toy", "x")
    assert write("x", created="tomorrow", source="there.npy").digest == first
    remove_features("toy", "x")
    assert write("x", trained_on=("imagenet",)).digest != first
    remove_features("toy", "x")
    assert write("x", frames=FRAMES + 1).digest != first


def test_the_digest_does_not_depend_on_the_parquet_writer(monkeypatch):
    import pyarrow.parquet as pq

    first = write("x")
    remove_features("toy", "x")
    real = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda table, path: real(table, path, compression="gzip"))
    second = write("x")
    assert first.files["videos.parquet"] != second.files["videos.parquet"]
    assert first.digest == second.digest


# --- damage -----------------------------------------------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def tamper(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def delete(path):
    path.unlink()


@pytest.mark.parametrize("damage", [truncate, tamper, delete])
@pytest.mark.parametrize("file", ["features.npy", "videos.parquet"])
def test_damage_is_found_before_anything_is_read(folder, damage, file):
    open_features(TOY, "x").store.pooled()  # checked once, and again after a change
    damage(folder / file)
    with pytest.raises(
        ZslbenchError, match=f"is damaged: {file}.*'zslbench features remove toy x' and import it again"
    ):
        open_features(TOY, "x").store  # noqa: B018
    with pytest.raises(ZslbenchError, match="is damaged"):
        open_features(TOY, "x").verify()


def test_an_unchanged_file_is_hashed_once(folder, monkeypatch):
    monkeypatch.setattr("zslbench.files.file_sha256", lambda _: pytest.fail("hashed again"))
    open_features(TOY, "x").store.pooled()


def test_a_copied_feature_set_is_checked_and_works(folder):
    (folder / "checked.json").unlink()
    open_features(TOY, "x").store.pooled()
    assert (folder / "checked.json").is_file()


@pytest.mark.parametrize("content", ["", "{}", "[1]", None, '{"name": "x", "name": "y"}'])
def test_a_broken_manifest(folder, content):
    if content is None:
        record = json.loads((folder / "manifest.json").read_text())
        content = json.dumps(record | {"surprise": 1})
    (folder / "manifest.json").write_text(content)
    with pytest.raises(ZslbenchError, match=r"is no feature set .*; delete the folder and import it again"):
        open_features(TOY, "x")


def test_another_class_list(folder):
    other = Dataset("toy", "Toy", ("A", "B", "D"), {"plain": {}})
    with pytest.raises(ZslbenchError, match="made for another class list of toy"):
        FeatureSet(folder, other)


# --- names ------------------------------------------------------------------------------------------------------------


def test_listing():
    assert list_features() == []
    write("b"), write("a"), write("a", dataset=Dataset("other", "", ("A", "B"), {"plain": {}}))
    assert list_features() == [("other", "a"), ("toy", "a"), ("toy", "b")]
    assert list_features("toy") == [("toy", "a"), ("toy", "b")]


def test_an_unfinished_set_is_not_listed():
    with new_directory(feature_path("toy", "x")) as work:
        (work / "manifest.json").write_text("{}")
        assert list_features() == []


def test_a_name_that_is_not_there(folder):
    with pytest.raises(
        NotFoundError, match=r"no feature set 'xx'\. Did you mean x\? Import one with 'zslbench features"
    ):
        open_features(TOY, "xx")
    with pytest.raises(NotFoundError, match="no feature set 'xx'"):
        remove_features("toy", "xx")


def test_removal(folder):
    assert remove_features("toy", "x") == folder
    assert not folder.exists()


@pytest.mark.parametrize(
    ("dataset", "name"), [("toy", ".."), ("toy", "."), ("..", "x"), ("toy", "../toy/x"), ("toy", "")]
)
def test_removal_stays_in_its_folder(folder, dataset, name):
    with pytest.raises(ZslbenchError, match="cannot name a"):
        remove_features(dataset, name)
    assert folder.is_dir()


def test_the_writer_refuses_frames_that_do_not_fit(tmp_path):
    writer = FeatureWriter(tmp_path, 4, "float32")
    with pytest.raises(ValueError, match="expected"):
        writer.append(["v"], ["A"], [""], [""], np.array([3]), FRAMES[:2])
    writer.close()


def test_patches_are_rows_and_no_part_of_means():
    frames = np.arange(48, dtype=np.float32).reshape(12, 4)
    with new_directory(feature_path("toy", "patches")) as work:
        writer = FeatureWriter(work, 4, "float32")
        writer.append(["v1", "v2"], ["A", "B"], ["", ""], ["", ""], np.array([3, 9]), frames)
        writer.finish(
            dataset="toy", name="patches", kind="sequences", extractor="e", classes_digest=TOY.digest, tokens=3
        )
    store = open_features(TOY, "patches").store
    assert store.tokens == 3
    np.testing.assert_array_equal(store.pooled()[0], frames[0])
    np.testing.assert_allclose(store.pooled()[1], frames[[3, 6, 9]].mean(axis=0))
    np.testing.assert_array_equal(store.gather(np.array([1])), frames[3:])


def test_rows_that_are_no_whole_frames_are_refused():
    with pytest.raises(ZslbenchError, match=r"the number of rows of v1 is not a multiple of 3"):
        write(tokens=3)


def test_a_set_without_patches_keeps_the_identity_it_had_before_there_were_any():
    manifest = write()
    old = manifest.model_dump(mode="json", exclude={"tokens", "created", "source", "transform"})
    old["files"] = {"features.npy": manifest.files["features.npy"]}
    assert manifest.digest == digest(old)
