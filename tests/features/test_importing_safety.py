"""Import: nothing is left half-done, little memory is needed, and real features come in."""

import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from toy_features import (
    POOLED,
    TOY,
    bring,
    refused,
    save,
    write_csv,
)

from zslbench.errors import ZslbenchError
from zslbench.features import _readers as readers
from zslbench.features import importing
from zslbench.features.catalog import list_features, open_features
from zslbench.features.feature_set import FeatureSet, feature_path
from zslbench.features.importing import FeatureFiles, Provenance, import_features

# --- names, places, atomicity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Upper", ".hidden", "a/b", "..", "a b", "-x", "simulated"])
def test_names_that_are_refused(tmp_path, csv, name):
    with pytest.raises(ZslbenchError, match=r"cannot name a feature set|reserved for the built-in"):
        bring(save(POOLED, tmp_path / "f.npy"), csv, name=name)
    assert list_features() == []


def test_an_extractor_is_needed(tmp_path, csv):
    with pytest.raises(ZslbenchError, match="extractor is empty"):
        import_features(TOY, "x", FeatureFiles(save(POOLED, tmp_path / "f.npy"), csv), Provenance(" "))


def test_an_existing_feature_set_is_kept_until_the_new_one_is_complete(tmp_path, csv, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1)
    path = save(POOLED, tmp_path / "f.npy")
    before, _ = bring(path, csv)
    with pytest.raises(ZslbenchError, match="give --replace"):
        bring(path, csv)
    wrong = POOLED.copy()
    wrong[5] = np.nan  # found after five videos have been written
    with pytest.raises(ZslbenchError, match="NaN"):
        bring(save(wrong, path), csv, replace=True)
    features = open_features(TOY, "x")
    features.verify()
    assert features.manifest == before
    assert [p.name for p in features.path.parent.iterdir()] == ["x"]
    after, _ = bring(save(POOLED + 1, path), csv, replace=True)
    assert open_features(TOY, "x").manifest.digest == after.digest != before.digest
    assert [p.name for p in features.path.parent.iterdir()] == ["x"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_interrupted_import_leaves_nothing(tmp_path, csv, monkeypatch, error):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1)

    def progress(done, total):
        if done == 3:
            raise error

    with pytest.raises(error):
        bring(save(POOLED, tmp_path / "f.npy"), csv, progress=progress)
    assert list(feature_path("toy", "x").parent.iterdir()) == []


def test_a_file_that_ends_half_way_leaves_nothing(tmp_path, csv, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1)
    path = save(POOLED, tmp_path / "f.npy")
    whole = path.read_bytes()

    def cut(done, total):  # once reading has begun: a file that is too short is refused when it is opened
        path.write_bytes(whole[:-20])

    assert "f.npy cannot be read (it ends before its last row)" in refused(path, csv, progress=cut)
    path.write_bytes(whole[:-20])
    assert "f.npy cannot be read (its header says (6, 4), 96 bytes, but it has 76)" in refused(path, csv)


def test_a_full_disk_is_told_before_the_work(tmp_path, csv, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(importing.shutil, "disk_usage", lambda _: usage)
    assert "free some space" in refused(save(POOLED, tmp_path / "f.npy"), csv)


# --- size and real data -----------------------------------------------------------------------------------------------

IMPORT_LARGE = r"""
    import re, sys
    from pathlib import Path

    import torch  # first: a build with CUDA takes 300 MiB more than one without

    def memory(field):
        return int(re.search(field + r":\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

    before = memory("VmRSS")
    from zslbench.datasets.dataset import Dataset
    from zslbench.features.importing import FeatureFiles, Provenance, import_features

    toy = Dataset("toy", "Toy", ("A", "B"), {"plain": {}})
    import_features(toy, "x", FeatureFiles(Path(sys.argv[1]), Path(sys.argv[2])), Provenance("e"))
    # Not getrusage: a child's peak there begins with its parent's.
    print(memory("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from Linux's /proc")
@pytest.mark.parametrize("kind", ["npy", "h5", "pt"])
def test_a_large_file_needs_little_memory(tmp_path, kind):
    n, t, d = 250, 100, 10_000  # 1 GB of float32, without a block on the disk where the file system can do that
    path = tmp_path / f"f.{kind}"
    if kind == "npy":
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, t, d)).flush()
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("features", (n, t, d), np.float32, chunks=(3, t, d), compression=1)
    else:
        torch.save(torch.zeros(n, t, d), path)
    csv = write_csv(tmp_path / "v.csv", [f"v{i},{'AB'[i % 2]}" for i in range(n)], "video,class")
    run = [sys.executable, "-c", textwrap.dedent(IMPORT_LARGE), path, csv]
    more = float(subprocess.run(run, check=True, capture_output=True, text=True, timeout=300).stdout)
    assert more < 480  # MiB, of which it may keep 256 mapped


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "title", "videos", "frames", "train"),
    [
        ("ucf101-vgg16-15c", "ucf101@real: 15 of 101 classes", 2010, 50250, 1442),
        ("ucf101-captions", "ucf101@real", 13320, 39960, 9537),
    ],
)
def test_real_features(shared_data, name, title, videos, frames, train):
    from zslbench.datasets.catalog import get_dataset

    ucf101, folder = get_dataset("ucf101"), shared_data / name
    manifest, _ = import_features(
        ucf101,
        "real",
        FeatureFiles(folder / "features.npy", folder / "videos.csv"),
        Provenance("e", pca_fit="all"),
    )
    features = open_features(ucf101, "real")
    assert isinstance(features, FeatureSet)
    assert features.title == title
    assert (manifest.n_videos, manifest.n_frames, manifest.dtype) == (videos, frames, "float16")
    assert (features.official.count("train"), features.has_official_lists) == (train, True)
    expected = ucf101.videos_per_class
    assert expected is not None
    assert all(expected[name] == n for name, n in features.counts.items())
    given = np.load(folder / "features.npy", mmap_mode="r")
    np.testing.assert_array_equal(features.store.frames, given.reshape(frames, -1))
