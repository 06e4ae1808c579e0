"""Axes in any order are read as --axes says, and a reading that looks wrong is said."""

import itertools

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from toy_features import IDS, POOLED, SEQUENCES, TOY, bring, frames_of, refused, save

from zslbench.features import _readers as readers
from zslbench.features.catalog import open_features

pytestmark = pytest.mark.versions

TALL = np.random.default_rng(1).normal(size=(6, 5, 3)).astype(np.float32)  # more frames than values


def check(array):
    features = open_features(TOY, "x")
    for video, wanted in zip(IDS, array, strict=True):
        np.testing.assert_array_equal(frames_of(features)[video], np.atleast_2d(wanted))


def written(path, array):
    match path.name:
        case "columns.npy":
            np.save(path, np.asfortranarray(array))
        case "a.npy":
            np.save(path, array)
        case "a.npz":
            np.savez_compressed(path, features=array)
        case "a.mat":
            scipy.io.savemat(path, {"features": array})
        case "a.h5":
            h5py.File(path, "w").create_dataset("features", data=array, chunks=tuple(min(2, n) for n in array.shape))
        case "a.pt":
            torch.save(torch.from_numpy(array.copy()), path)
    return path


@pytest.mark.parametrize("file", ["a.npy", "columns.npy", "a.npz", "a.mat", "a.h5", "a.pt"])
@pytest.mark.parametrize("axes", ["".join(letters) for letters in itertools.permutations("ntd")] + ["nd", "dn"])
@pytest.mark.parametrize("block", [1, 1 << 25])
def test_axes_in_any_order(tmp_path, csv, monkeypatch, file, axes, block):
    monkeypatch.setattr(readers, "BLOCK_BYTES", block)
    array = SEQUENCES if "t" in axes else POOLED
    stored = array.transpose([("ntd" if "t" in axes else "nd").index(letter) for letter in axes])
    bring(written(tmp_path / file, stored), csv, axes=axes)
    check(array)


@pytest.mark.parametrize("axes", ["td", "dt"])
@pytest.mark.parametrize("kind", ["folder", "list"])
def test_axes_of_one_array_per_video(tmp_path, csv, axes, kind):
    lengths = [3, 1, 2, 3, 1, 2]
    arrays = [frames[:n] for frames, n in zip(SEQUENCES, lengths, strict=True)]
    stored = [array if axes == "td" else array.T for array in arrays]
    path = tmp_path / "f"
    if kind == "folder":
        path.mkdir()
        for video, array in zip(IDS, stored, strict=True):
            np.save(path / f"{video}.npy", array)
    else:
        path = tmp_path / "f.pt"
        torch.save([torch.from_numpy(array.copy()) for array in stored], path)
    if axes == "dt":
        said = refused(path, csv)
        assert "the first axis is always 4 and the last one varies, as in (D, T). If so, add --axes dt" in said
    bring(path, csv, axes=axes)
    assert open_features(TOY, "x").lengths.tolist() == lengths
    check(arrays)


@pytest.mark.parametrize("flat", ["td", "dt"])
def test_axes_of_ragged_frames(tmp_path, csv, flat):
    frames = SEQUENCES.reshape(18, 4)
    np.savez(tmp_path / "f.npz", features=frames if flat == "td" else frames.T, lengths=np.full(6, 3))
    bring(tmp_path / "f.npz", csv, axes=flat)
    check(SEQUENCES)


@pytest.mark.parametrize("file", ["a.npy", "a.mat", "a.h5"])
def test_more_frames_than_values_are_said(tmp_path, csv, file):
    _, notes = bring(written(tmp_path / file, TALL), csv)
    (note,) = [note for note in notes if "--axes" in note]
    assert (
        "read as 5 frames of 3 values per video; if it has 3 frames of 5 values, import again with --axes ndt" in note
    )
    check(TALL)
    _, notes = bring(written(tmp_path / file, SEQUENCES), csv, replace=True)
    assert not [note for note in notes if "--axes" in note]


def test_more_frames_than_values_in_the_arrays_of_videos_are_said(tmp_path, csv):
    np.savez(tmp_path / "f.npz", **dict(zip(IDS, TALL, strict=True)))
    _, notes = bring(tmp_path / "f.npz", csv)
    assert any("import again with --axes dt" in note for note in notes)


@pytest.mark.parametrize("file", ["a.mat", "a.h5"])
def test_videos_in_the_last_axis_of_matlab_and_hdf5_are_said(tmp_path, csv, file):
    _, notes = bring(written(tmp_path / file, SEQUENCES.transpose(2, 1, 0)), csv)
    assert any("features is (4, 3, 6): read with axes dtn, videos last" in note for note in notes)
    check(SEQUENCES)
    _, notes = bring(written(tmp_path / file, SEQUENCES.transpose(1, 2, 0)), csv, replace=True)
    assert any("if it has 3 frames of 4 values, import again with --axes tdn" in note for note in notes)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (SEQUENCES.transpose(1, 2, 0), "the videos may be its last axis; add --axes dtn or --axes tdn"),
        (SEQUENCES.transpose(1, 0, 2), "the videos may be its second axis; add --axes tnd or --axes dnt"),
        (POOLED.T, "the videos may be its last axis; add --axes dn"),
    ],
)
def test_videos_that_are_not_first_in_a_numpy_file_need_a_word(tmp_path, csv, array, message):
    assert message in refused(save(array, tmp_path / "f.npy"), csv)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("ntx", "give each axis one letter of n (videos), t (frames), c (crops), d (values)"),
        ("nn", "does not fit f.npy"),
        ("nt", "does not fit f.npy"),
        ("nd", "has 2 letters, but f in f.npy is (6, 3, 4)"),
        ("tcd", "names no axis n"),
    ],
)
def test_wrong_axes_are_refused(tmp_path, csv, axes, message):
    assert message in refused(save(SEQUENCES, tmp_path / "f.npy"), csv, axes=axes)


# --- crops and axes of length 1 ---------------------------------------------------------------------------------------

CROPS = np.random.default_rng(2).normal(size=(6, 3, 10, 4)).astype(np.float32)


@pytest.mark.parametrize("axes", [None, "ntcd", "nctd", "dctn"])
@pytest.mark.parametrize("file", ["a.npy", "a.h5"])
def test_crops_are_averaged(tmp_path, csv, axes, file):
    stored = CROPS.transpose(["ntcd".index(letter) for letter in axes or "ntcd"])
    assert "add --crops mean" in refused(written(tmp_path / file, stored), csv, axes=axes)
    bring(tmp_path / file, csv, axes=axes, crops="mean")
    features = open_features(TOY, "x")
    assert (features.lengths.tolist(), features.manifest.dim) == ([3] * 6, 4)
    for video, wanted in zip(IDS, CROPS.mean(axis=2), strict=True):
        np.testing.assert_allclose(frames_of(features)[video], wanted, rtol=1e-5, atol=1e-6)


def test_crops_of_one_array_per_video_are_averaged(tmp_path, csv):
    np.savez(tmp_path / "f.npz", **dict(zip(IDS, CROPS, strict=True)))
    assert "add --crops mean" in refused(tmp_path / "f.npz", csv)
    bring(tmp_path / "f.npz", csv, crops="mean")
    np.testing.assert_allclose(frames_of(open_features(TOY, "x"))["b1"], CROPS[1].mean(axis=1), rtol=1e-5, atol=1e-6)


def test_crops_are_for_an_axis_of_crops(tmp_path, csv):
    assert "--crops is for an axis of crops" in refused(save(SEQUENCES, tmp_path / "f.npy"), csv, crops="mean")


@pytest.mark.parametrize("shape", [(6, 1, 4), (6, 4, 1), (6, 4, 1, 1), (6, 1, 1, 4), (6, 4, 1, 1, 1)])
def test_axes_of_length_1_are_left_out(tmp_path, csv, shape):
    manifest, notes = bring(save(POOLED.reshape(shape), tmp_path / "f.npy"), csv)
    assert (manifest.kind, manifest.dim) == ("pooled", 4)
    assert any("axes of length 1 were left out" in note for note in notes)
    check(POOLED)


@pytest.mark.parametrize("shape", [(1, 4), (1, 1, 4), (4, 1, 1)])
def test_axes_of_length_1_in_every_video_are_left_out(tmp_path, csv, shape):
    np.savez(tmp_path / "f.npz", **{video: row.reshape(shape) for video, row in zip(IDS, POOLED, strict=True)})
    manifest, _ = bring(tmp_path / "f.npz", csv)
    assert (manifest.kind, manifest.dim) == ("pooled", 4)
    check(POOLED)


def test_a_batch_axis_of_sequences_is_left_out(tmp_path, csv):
    np.savez(tmp_path / "f.npz", **{video: frames[None] for video, frames in zip(IDS, SEQUENCES, strict=True)})
    bring(tmp_path / "f.npz", csv)
    check(SEQUENCES)
