"""Import: what comes out equals what went in, in any format; what is wrong is named."""

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from toy_features import (
    CLASSES,
    IDS,
    LABELS,
    LENGTHS,
    POOLED,
    RAGGED,
    SEQUENCES,
    TOY,
    bring,
    frames_of,
    refused,
    save,
    write_csv,
)

from zslbench.errors import ZslbenchError
from zslbench.features import _readers as readers
from zslbench.features.catalog import open_features

pytestmark = pytest.mark.versions


@pytest.mark.parametrize("array", [POOLED, SEQUENCES], ids=["pooled", "sequences"])
@pytest.mark.parametrize("block", [1, 1 << 25])
def test_what_goes_in_comes_out(tmp_path, csv, monkeypatch, array, block):
    monkeypatch.setattr(readers, "BLOCK_BYTES", block)
    seen = []
    manifest, _ = bring(
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
    assert features.counts == {"Archery": 3, "Bowling": 1, "CleanAndJerk": 2}
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
    manifest, notes = bring(save(array, tmp_path / "f.npy"), csv, dtype=option)
    assert manifest.dtype == stored
    np.testing.assert_array_equal(open_features(TOY, "x").store.pooled(), array.astype(stored).astype(np.float32))
    narrower = given == "float64"
    assert any("stored as" in note for note in notes) == narrower


# --- the CSV ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["official", "split", "official_split1"])
def test_columns_for_the_official_list(tmp_path, column):
    rows = [f"{v},YoYo,{side}" for v, side in zip(IDS, ["train", "Test", "", "TRAIN", "test", ""], strict=True)]
    csv = write_csv(tmp_path / "v.csv", rows, f"video,class,{column}")
    _, notes = bring(save(POOLED, tmp_path / "f.npy"), csv)
    features = open_features(TOY, "x")
    assert features.official == ["train", "test", "", "train", "test", ""]
    assert not features.has_official_lists
    assert any(column in note for note in notes)


def test_unused_columns_are_told(tmp_path):
    rows = [f"{v},YoYo,25,train,test" for v in IDS]
    csv = write_csv(tmp_path / "v.csv", rows, "video,class,fps,official_split1,official_splits")
    _, notes = bring(save(POOLED, tmp_path / "f.npy"), csv)
    assert any("not used: fps, official_splits" in note for note in notes)


def test_several_official_columns_are_lists_by_number(tmp_path):
    sides = [["train", "test", ""] * 2, ["test", "Train", ""] * 2, ["", "test", "train"] * 2]
    rows = [",".join([v, "YoYo", *each]) for v, *each in zip(IDS, *sides, strict=True)]
    header = "video,class,official_split1,official_split3,official_split2"
    manifest, notes = bring(save(POOLED, tmp_path / "f.npy"), write_csv(tmp_path / "v.csv", rows, header))
    features = open_features(TOY, "x")
    lower = [[side.lower() for side in each] for each in sides]
    assert features.official == lower[0]
    assert features.official_columns == {1: lower[0], 2: lower[2], 3: lower[1]}
    assert any("columns official_split1 (1), official_split2 (2), official_split3 (3)" in note for note in notes)
    one = write_csv(tmp_path / "one.csv", [row.rsplit(",", 2)[0] for row in rows], "video,class,official_split1")
    single, _ = bring(save(POOLED, tmp_path / "f.npy"), one, replace=True)
    assert single.videos_digest != manifest.videos_digest
    assert open_features(TOY, "x").official_columns == {1: lower[0]}


def test_a_further_official_column_takes_train_and_test_only(tmp_path):
    rows = [f"{v},YoYo,train,maybe" for v in IDS]
    bad = write_csv(tmp_path / "bad.csv", rows, "video,class,official,official_split2")
    said = refused(save(POOLED, tmp_path / "f.npy"), bad)
    assert "official_split2 is 'maybe', not train, test or nothing" in said


def test_a_set_with_one_official_column_keeps_the_digest_of_earlier_versions(tmp_path, csv):
    manifest, _ = bring(save(POOLED, tmp_path / "f.npy"), csv)
    assert manifest.videos_digest == "d11d875adfc020382764967120f0d230"


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
        ("name,kind", "no column 'video' and no column 'class'; its first line must be a header"),
        ("video;class", "line 2: 1 values, the header has 2"),
        ("id,class", "v.csv, line 2, has 4 values, the header has 2"),
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
    assert "f.npy contains 5 videos, but videos.csv has 6 rows" in said
    assert "frames" not in said
    said = refused(save(SEQUENCES.reshape(18, 4), tmp_path / "f.npy"), csv)
    assert "contains 18 videos, but videos.csv has 6 rows" in said
    assert "If they are 3 frames per video, save them as (6, 3, 4)" in said


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
    assert "1 video twice: a1 is both a1 and more/a1" in refused(folder, csv)


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
    _, notes = bring(path, None)
    features = open_features(TOY, "x")
    assert sorted(features.ids) == sorted(IDS)
    assert features.counts == {"Archery": 3, "Bowling": 1, "CleanAndJerk": 2}
    for video, array in zip(IDS, RAGGED, strict=True):
        np.testing.assert_array_equal(frames_of(features)[video], array)
    assert any("no CSV" in note for note in notes)


def test_folder_names_that_are_no_class(tmp_path):
    for name in ("Archry/v1", "v2"):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "f" / f"{name}.npy", POOLED[0])
    said = refused(tmp_path / "f", None)
    assert "Archry/v1: 'Archry' is no class of toy, did you mean Archery" in said
    assert "v2: it is in no folder of a class" in said


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
    manifest, notes = bring(save(array, tmp_path / "f.npy"), csv, **options)
    features = open_features(TOY, "x")
    assert features.lengths.tolist() == KEPT
    assert manifest.n_frames == sum(KEPT)
    for i, video in enumerate(IDS):
        np.testing.assert_array_equal(frames_of(features)[video], array[i, : KEPT[i]])
    if how == "zeros":
        assert any("dropped 6 all-zero frames from the end of 4 videos" in note for note in notes)


def test_padding_is_told_when_it_is_kept(tmp_path, csv):
    _, notes = bring(save(padded(0), tmp_path / "f.npy"), csv)
    assert any("4 videos (the first is b1) with zeros as last frames; if these are padding" in note for note in notes)
    zero = POOLED.copy()
    zero[3] = 0
    _, notes = bring(save(zero, tmp_path / "f.npy"), csv, replace=True)
    assert any("1 video (the first is c1) of zeros only" in note for note in notes)


def test_a_video_of_zeros_cannot_be_trimmed(tmp_path, csv):
    array = padded(0)
    array[3] = 0
    said = refused(save(array, tmp_path / "f.npy"), csv, trim_zeros=True)
    assert "1 video of zeros only: c1 (line 5)" in said


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3, 3, 4, 3, 3, 3], "1 length larger than the sequence: line 4 has 4 of 3 frames"),
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


def test_ids_of_other_classes_and_too_many_videos_are_said(tmp_path):
    rows = ["v_YoYo_g01_c01,Archery", "v_Archery_g01_c01,Archery", "a,Bowling", "b,Bowling", "c,Bowling"]
    csv = write_csv(tmp_path / "videos.csv", rows, "video,class")
    _, notes = bring(save(POOLED[:5], tmp_path / "f.npy"), csv)
    assert any("the ids of 1 of 5 videos name another class: v_YoYo_g01_c01 is in Archery" in note for note in notes)
    assert any("1 class has more videos than toy: Bowling 3 of 2" in note for note in notes)
    right = write_csv(tmp_path / "videos.csv", [rows[0].replace("Archery", "YoYo"), *rows[1:4]], "video,class")
    _, notes = bring(save(POOLED[:4], tmp_path / "f.npy"), right, replace=True)
    assert not any("another class" in note or "more videos" in note for note in notes)


def test_labels_that_were_read_in_another_order_are_suspected(tmp_path):
    rows = [f"v_{name}_g01_c01,{other}" for name, other in zip(CLASSES, (*CLASSES[1:], CLASSES[0]), strict=True)]
    _, notes = bring(save(POOLED[:4], tmp_path / "f.npy"), write_csv(tmp_path / "v.csv", rows, "video,class"))
    assert any("4 of 4 videos" in note and "another class order" in note for note in notes)
