"""Import: what comes out equals what went in, in any format; what is wrong is named; nothing is left half-done."""

import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from zslbench import importing, readers
from zslbench.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features import FeatureSet, feature_path, list_features, open_features
from zslbench.importing import import_features

CLASSES = ("Archery", "Bowling", "CleanAndJerk", "YoYo")
PER_CLASS = {"Archery": 3, "Bowling": 2, "CleanAndJerk": 2, "YoYo": 5}
TOY = Dataset("toy", "Toy", CLASSES, {"plain": {}}, videos_per_class=PER_CLASS)
IDS = ["a1", "b1", "a2", "c1", "a3", "c2"]  # not sorted: the CSV's order counts
LABELS = ["Archery", "Bowling", "Archery", "clean and jerk", "archery", "Clean_And-Jerk"]
RNG = np.random.default_rng(0)
POOLED = RNG.normal(size=(6, 4)).astype(np.float32)
SEQUENCES = RNG.normal(size=(6, 3, 4)).astype(np.float32)
LENGTHS = np.array([2, 1, 4, 3, 1, 2])
RAGGED = np.split(RNG.normal(size=(LENGTHS.sum(), 4)).astype(np.float32), np.cumsum(LENGTHS)[:-1])


def write_csv(path, rows=None, header="video,class,group,official"):
    rows = rows or [
        f"{v},{c},g{i},{('train', 'test')[i % 2]}" for i, (v, c) in enumerate(zip(IDS, LABELS, strict=True))
    ]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def csv(tmp_path):
    return write_csv(tmp_path / "videos.csv")


def save(array, path):
    np.save(path, array)
    return path


def bring(source, csv, name="x", **options):
    return import_features(TOY, name, source, csv, extractor="e", **options)


def refused(source, csv, **options):
    """Return the sentence of a refused import, after checking that it left nothing."""
    with pytest.raises(ZslbenchError) as error:
        bring(source, csv, **options)
    folder = feature_path("toy", "x").parent
    assert not folder.exists() or list(folder.iterdir()) == []
    assert "\n" not in str(error.value)
    return str(error.value)


def frames_of(features):
    videos = [features.store.gather(np.array([i])) for i in range(len(features.ids))]
    return dict(zip(features.ids, videos, strict=True))


@pytest.mark.parametrize("array", [POOLED, SEQUENCES], ids=["pooled", "sequences"])
@pytest.mark.parametrize("block", [1, 1 << 25])
def test_what_goes_in_comes_out(tmp_path, csv, monkeypatch, array, block):
    monkeypatch.setattr(readers, "BLOCK_BYTES", block)
    seen = []
    manifest, summary = bring(
        save(array, tmp_path / "f.npy"), csv, trained_on=["imagenet"], progress=lambda *at: seen.append(at)
    )
    features = open_features(TOY, "x")
    assert features.manifest == manifest
    assert features.ids == IDS
    assert [TOY.classes[i] for i in features.labels] == [TOY.resolve_class(name) for name in LABELS]
    assert features.groups == [f"g{i}" for i in range(6)]
    assert features.official == ["train", "test"] * 3
    for video, wanted in zip(IDS, array, strict=True):
        np.testing.assert_array_equal(frames_of(features)[video], np.atleast_2d(wanted))
    assert features.title == "toy@x: 3 of 4 classes"
    assert summary.present == {"Archery": 3, "Bowling": 1, "CleanAndJerk": 2}
    assert summary.expected == PER_CLASS
    assert (seen[0], seen[-1]) == ((0, 6), (6, 6))
    assert (manifest.source, manifest.trained_on, manifest.dtype) == ("f.npy", ("imagenet",), "float32")


def every_format(folder, kind):
    """Save the same features in every format; yield the paths."""
    items = dict(zip(IDS, {"pooled": POOLED, "sequences": SEQUENCES, "ragged": RAGGED}[kind], strict=True))
    folder.mkdir()
    (folder / "items").mkdir()
    with h5py.File(folder / "items.h5", "w") as file:
        for video, array in items.items():
            np.save(folder / "items" / f"{video}.npy", array)
            file[f"some/group/{video}"] = array
    torch.save({video: torch.from_numpy(array.copy()) for video, array in items.items()}, folder / "items.pt")
    if kind == "ragged":
        whole = {"features": np.concatenate(RAGGED), "lengths": LENGTHS}
    else:
        whole = {"features": np.stack(list(items.values()))}
        np.save(folder / "a.npy", whole["features"])
        torch.save(torch.from_numpy(whole["features"]), folder / "a.pt")
    np.savez(folder / "a.npz", **whole)
    np.savez_compressed(folder / "b.npz", **whole)
    scipy.io.savemat(folder / "v5.mat", whole)
    with h5py.File(folder / "v73.mat", "w") as matlab, h5py.File(folder / "a.hdf5", "w") as plain:
        for name, array in whole.items():
            matlab[name], plain[name] = array.T, array
    return sorted(folder.iterdir())


@pytest.mark.parametrize("kind", ["pooled", "sequences", "ragged"])
def test_every_format_gives_the_identical_feature_set(tmp_path, csv, kind):
    digests = {}
    for path in every_format(tmp_path / "formats", kind):
        manifest, _ = bring(path, csv, replace=True)
        digests[path.name] = (manifest.digest, manifest.files["features.npy"])
    assert len(digests) >= 8
    assert len(set(digests.values())) == 1, digests


def test_the_digest_is_of_content_and_provenance(tmp_path, csv):
    path = save(POOLED, tmp_path / "f.npy")
    first, again = bring(path, csv)[0], bring(path.rename(tmp_path / "g.npy"), csv, replace=True)[0]
    assert first.digest == again.digest
    assert bring(save(POOLED + 1, path), csv, replace=True)[0].digest != first.digest
    other = write_csv(tmp_path / "other.csv", [f"{v},YoYo,," for v in IDS])
    assert bring(tmp_path / "g.npy", other, replace=True)[0].digest != first.digest
    assert bring(tmp_path / "g.npy", csv, replace=True, trained_on=["imagenet"])[0].digest != first.digest


@pytest.mark.parametrize(
    ("given", "option", "stored"),
    [
        ("float16", "auto", "float16"),
        ("float32", "auto", "float32"),
        ("float64", "auto", "float32"),
        (">f4", "auto", "float32"),
        ("int16", "auto", "float32"),
        ("float16", "float32", "float32"),
        ("float64", "float16", "float16"),
    ],
)
def test_stored_type(tmp_path, csv, given, option, stored):
    array = (POOLED * 10).astype(given)
    manifest, summary = bring(save(array, tmp_path / "f.npy"), csv, dtype=option)
    assert manifest.dtype == stored
    np.testing.assert_array_equal(open_features(TOY, "x").store.pooled(), array.astype(stored).astype(np.float32))
    narrower = given == "float64"
    assert any("stored as" in note for note in summary.notes) == narrower


# --- the CSV ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["official", "split", "official_split1"])
def test_columns_for_the_official_list(tmp_path, column):
    rows = [f"{v},YoYo,{side}" for v, side in zip(IDS, ["train", "Test", "", "TRAIN", "test", ""], strict=True)]
    csv = write_csv(tmp_path / "v.csv", rows, f"video,class,{column}")
    _, summary = bring(save(POOLED, tmp_path / "f.npy"), csv)
    features = open_features(TOY, "x")
    assert features.official == ["train", "test", "", "train", "test", ""]
    assert not features.has_official_lists
    assert any(column in note for note in summary.notes)


def test_unused_columns_are_told(tmp_path):
    rows = [f"{v},YoYo,25,train,test" for v in IDS]
    csv = write_csv(tmp_path / "v.csv", rows, "video,class,fps,official_split1,official_split2")
    _, summary = bring(save(POOLED, tmp_path / "f.npy"), csv)
    assert any("not used: fps, official_split2" in note for note in summary.notes)


def test_a_csv_from_a_spreadsheet(tmp_path):
    """Byte-order mark, Windows line ends, quotes, blank lines, spaces."""
    lines = ["\ufeffvideo , class", "", *(f'"{v}", YoYo ' for v in IDS), ",", ""]
    (tmp_path / "v.csv").write_bytes("\r\n".join(lines).encode())
    bring(save(POOLED, tmp_path / "f.npy"), tmp_path / "v.csv")
    assert open_features(TOY, "x").ids == IDS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,Archery", "b,Archry", "c,YoYo"], "1 wrong row: line 3: 'Archry' is no class of toy, did you mean Archery"),
        (["a,Q"] * 5, "9 wrong rows: line 2: 'Q' is no class of toy; line 3: a is on line 2 already; line 3: 'Q'"),
        (["a,YoYo", "b,YoYo", "", "a,YoYo"], "1 wrong row: line 5: a is on line 2 already"),
        (["a,YoYo", ",YoYo"], "line 3: no video id"),
        (["a,YoYo", "b"], "line 3: 1 values, the header has 2"),
        (["a,YoYo", "b,YoYo,c,d"], "line 3: 4 values, the header has 2"),
        ([","], "lists no videos"),
        (['a,"YoYo', "b,YoYo"], "cannot be read"),
    ],
)
def test_wrong_rows_are_named(tmp_path, rows, message):
    said = refused(save(POOLED, tmp_path / "f.npy"), write_csv(tmp_path / "v.csv", rows, "video,class"))
    assert message in said
    assert said.startswith("v.csv")


def test_lines_are_counted_as_an_editor_does(tmp_path):
    rows = ['"a\nstill a",YoYo', "", "b,Nothing"]
    said = refused(save(POOLED, tmp_path / "f.npy"), write_csv(tmp_path / "v.csv", rows, "video,class"))
    assert "line 5: 'Nothing'" in said


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id,class", "no column 'video'; its first line must be a header"),
        ("video;class", "no column 'video' and no column 'class'"),
        ("video,class,class", "two columns 'class'"),
        ("", "no column 'video' and no column 'class'"),
    ],
)
def test_wrong_headers(tmp_path, header, message):
    assert message in refused(save(POOLED, tmp_path / "f.npy"), write_csv(tmp_path / "v.csv", header=header))


def test_an_official_list_of_something_else(tmp_path):
    csv = write_csv(tmp_path / "v.csv", ["a,YoYo,val"], "video,class,split")
    assert "line 2: split is 'val', not train, test or nothing" in refused(save(POOLED, tmp_path / "f.npy"), csv)


def test_a_missing_or_undecodable_csv(tmp_path):
    path = save(POOLED, tmp_path / "f.npy")
    assert "there is no" in refused(path, tmp_path / "gone.csv")
    (tmp_path / "latin.csv").write_bytes(b"video,class\n\xe9,YoYo\n")
    assert "save it as a CSV in UTF-8" in refused(path, tmp_path / "latin.csv")


# --- videos against features ------------------------------------------------------------------------------------------


def test_counts_that_differ(tmp_path, csv):
    said = refused(save(POOLED[:5], tmp_path / "f.npy"), csv)
    assert "f.npy holds 5 videos, videos.csv has 6 rows" in said
    assert "frames" not in said
    said = refused(save(SEQUENCES.reshape(18, 4), tmp_path / "f.npy"), csv)
    assert "holds 18 videos, videos.csv has 6 rows" in said
    assert "Are they 3 frames a video? Then save them as (6, 3, 4)" in said


def test_videos_that_are_missing_extra_or_twice(tmp_path, csv):
    folder = tmp_path / "folder"
    folder.mkdir()
    for video in IDS[:2]:
        np.save(folder / f"{video}.npy", SEQUENCES[0])
    said = refused(folder, csv)
    assert "4 missing videos: a2 (line 4); c1 (line 5); a3 (line 6); and 1 more" in said
    for video in (*IDS, "zz"):
        np.save(folder / f"{video}.npy", SEQUENCES[0])
    assert "1 array that the CSV does not list: zz" in refused(folder, csv)
    (folder / "zz.npy").unlink()
    (folder / "more").mkdir()
    np.save(folder / "more" / "a1.npy", SEQUENCES[0])
    assert "1 video: a1 is both a1 and more/a1" in refused(folder, csv)


@pytest.mark.parametrize("suffix", ["", ".h5"])
def test_a_folder_a_class_needs_no_csv(tmp_path, suffix):
    path = tmp_path / f"features{suffix}"
    names = [f"{label}/{video}" for video, label in zip(IDS, LABELS, strict=True)]
    if suffix:
        with h5py.File(path, "w") as file:
            for name, array in zip(names, RAGGED, strict=True):
                file[name] = array
    else:
        for name, array in zip(names, RAGGED, strict=True):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(path / f"{name}.npy", array)
    _, summary = bring(path, None)
    features = open_features(TOY, "x")
    assert sorted(features.ids) == sorted(IDS)
    assert features.counts == {"Archery": 3, "Bowling": 1, "CleanAndJerk": 2}
    for video, array in zip(IDS, RAGGED, strict=True):
        np.testing.assert_array_equal(frames_of(features)[video], array)
    assert any("no CSV" in note for note in summary.notes)


def test_folder_names_that_are_no_class(tmp_path):
    for name in ("Archry/v1", "v2"):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "f" / f"{name}.npy", POOLED[0])
    said = refused(tmp_path / "f", None)
    assert "Archry/v1: 'Archry' is no class of toy, did you mean Archery" in said
    assert "v2: no folder tells its class" in said


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_named(tmp_path, csv, value):
    array = SEQUENCES.copy()
    array[1, 2, 0] = array[3, 0] = array[4, 1, 3] = array[5] = value
    said = refused(save(array, tmp_path / "f.npy"), csv)
    assert said.startswith(
        "f.npy: 4 videos with NaN or infinite values: b1 (line 3), frame 3 of 3; c1 (line 5), frame 1 of 3; "
        "a3 (line 6), frame 2 of 3; and 1 more"
    )


def test_nan_in_pooled_features_late_in_a_file(tmp_path, csv, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1)
    array = POOLED.copy()
    array[4, 0] = np.nan
    assert "at least 1 video with NaN or infinite values: a3 (line 6). " in refused(
        save(array, tmp_path / "f.npy"), csv
    )


def test_overflow_is_named(tmp_path, csv):
    array = POOLED.copy()
    array[2, 0] = 70000
    path = save(array, tmp_path / "f.npy")
    said = refused(path, csv, dtype="float16")
    assert "1 video too large for float16: a2 (line 4). Remedy: store them as float32" in said
    bring(path, csv)
    wide = POOLED.astype(np.float64)
    wide[0, 0] = 1e300
    with pytest.raises(ZslbenchError, match="too large for float32: a1"):
        bring(save(wide, path), csv, replace=True)


def test_an_empty_sequence_is_named(tmp_path, csv):
    lengths = LENGTHS.copy()
    lengths[[1, 2]] = 0, 5
    np.savez(tmp_path / "f.npz", features=np.concatenate(RAGGED), lengths=lengths)
    assert "1 video without a frame: b1 (line 3)" in refused(tmp_path / "f.npz", csv)


# --- padding ----------------------------------------------------------------------------------------------------------

KEPT = [3, 1, 2, 3, 1, 2]


def padded(fill):
    array = SEQUENCES.copy()
    for video, kept in zip(array, KEPT, strict=True):
        video[kept:] = fill
    array[2, 0] = 0  # a zero frame in the middle stays
    return array


def with_lengths(path, lengths):
    return write_csv(path, [f"{v},YoYo,{n}" for v, n in zip(IDS, lengths, strict=True)], "video,class,n_frames")


@pytest.mark.parametrize("block", [1, 1 << 25])
@pytest.mark.parametrize("how", ["lengths", "zeros"])
def test_padding_is_cut(tmp_path, monkeypatch, block, how):
    monkeypatch.setattr(readers, "BLOCK_BYTES", block)
    csv = with_lengths(tmp_path / "v.csv", KEPT)
    array = padded(0 if how == "zeros" else np.nan)
    options = {"trim_zeros": True} if how == "zeros" else {"lengths_column": "n_frames"}
    manifest, summary = bring(save(array, tmp_path / "f.npy"), csv, **options)
    features = open_features(TOY, "x")
    assert features.lengths.tolist() == KEPT
    assert manifest.n_frames == sum(KEPT)
    for i, video in enumerate(IDS):
        np.testing.assert_array_equal(frames_of(features)[video], array[i, : KEPT[i]])
    if how == "zeros":
        assert (summary.trimmed_videos, summary.trimmed_frames) == (4, 6)
        assert any("dropped 6 all-zero frames from the end of 4 videos" in note for note in summary.notes)


def test_padding_is_told_when_it_is_kept(tmp_path, csv):
    _, summary = bring(save(padded(0), tmp_path / "f.npy"), csv)
    assert any(
        "4 videos (the first is b1) end in all-zero frames: if that is padding" in note for note in summary.notes
    )
    zero = POOLED.copy()
    zero[3] = 0
    _, summary = bring(save(zero, tmp_path / "f.npy"), csv, replace=True)
    assert any("1 videos (the first is c1) are nothing but zeros" in note for note in summary.notes)


def test_a_video_of_zeros_cannot_be_trimmed(tmp_path, csv):
    array = padded(0)
    array[3] = 0
    said = refused(save(array, tmp_path / "f.npy"), csv, trim_zeros=True)
    assert "1 video of nothing but zeros: c1 (line 5)" in said


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3, 3, 4, 3, 3, 3], "1 length larger than the sequence: line 4 tells 4 frames of 3"),
        (
            [3, 0, "x", "", 3, 3],
            "3 wrong rows: line 3: n_frames is '0', not a number of frames; line 4: n_frames is 'x'",
        ),
    ],
)
def test_wrong_lengths(tmp_path, lengths, message):
    csv = with_lengths(tmp_path / "v.csv", lengths)
    assert message in refused(save(SEQUENCES, tmp_path / "f.npy"), csv, lengths_column="n_frames")


def test_cutting_what_cannot_be_cut(tmp_path, csv):
    path = save(POOLED, tmp_path / "f.npy")
    assert "pooled features, which have no frames to cut" in refused(path, csv, trim_zeros=True)
    assert "no column 'n'. " in refused(path, csv, lengths_column="n")


# --- names, places, atomicity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Upper", ".hidden", "a/b", "..", "a b", "-x", "simulated"])
def test_names_that_are_refused(tmp_path, csv, name):
    with pytest.raises(ZslbenchError, match=r"cannot name a feature set|kept for the built-in"):
        bring(save(POOLED, tmp_path / "f.npy"), csv, name=name)
    assert list_features() == []


def test_an_extractor_is_needed(tmp_path, csv):
    with pytest.raises(ZslbenchError, match="extractor is empty"):
        import_features(TOY, "x", save(POOLED, tmp_path / "f.npy"), csv, extractor=" ")


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
    path.write_bytes(path.read_bytes()[:-20])
    assert "f.npy cannot be read (it ends before its last row)" in refused(path, csv)


def test_a_full_disk_is_told_before_the_work(tmp_path, csv, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(importing.shutil, "disk_usage", lambda _: usage)
    assert "free some space" in refused(save(POOLED, tmp_path / "f.npy"), csv)


# --- size and real data -----------------------------------------------------------------------------------------------

IMPORT_LARGE = r"""
    import re, sys
    from pathlib import Path
    from zslbench.dataset import Dataset
    from zslbench.importing import import_features

    toy = Dataset("toy", "Toy", ("A", "B"), {"plain": {}})
    import_features(toy, "x", Path(sys.argv[1]), Path(sys.argv[2]), extractor="e")
    # Not getrusage: a child's peak there begins with its parent's.
    print(int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
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
    peak = float(subprocess.run(run, check=True, capture_output=True, text=True, timeout=300).stdout)
    assert peak < 700  # MiB, of which torch takes 200 and what it may keep mapped 256


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "title", "videos", "frames", "train"),
    [
        ("ucf101-vgg16-15c", "ucf101@real: 15 of 101 classes", 2010, 50250, 1442),
        ("ucf101-captions", "ucf101@real", 13320, 39960, 9537),
    ],
)
def test_real_features(shared_data, name, title, videos, frames, train):
    from zslbench.registry import get_dataset

    ucf101, folder = get_dataset("ucf101"), shared_data / name
    manifest, summary = import_features(
        ucf101, "real", folder / "features.npy", folder / "videos.csv", extractor="e", pca_fit="all"
    )
    features = open_features(ucf101, "real")
    assert isinstance(features, FeatureSet)
    assert features.title == title
    assert (manifest.n_videos, manifest.n_frames, manifest.dtype) == (videos, frames, "float16")
    assert (features.official.count("train"), features.has_official_lists) == (train, True)
    assert all(summary.expected[name] == n for name, n in summary.present.items())
    given = np.load(folder / "features.npy", mmap_mode="r")
    np.testing.assert_array_equal(features.store.frames, given.reshape(frames, -1))
