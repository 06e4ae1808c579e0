"""Arrays as few programs save them: quantised, structured, zipped, with lengths that mean something else."""

import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from toy_features import IDS, POOLED, SEQUENCES, TOY, bring, frames_of, refused

from zslbench.features.catalog import open_features

pytestmark = pytest.mark.versions
RNG = np.random.default_rng(0)


def pooled():
    return open_features(TOY, "x").store.pooled()


@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 4)])
@pytest.mark.parametrize("scale", [0.5, (1,), (4,), (6,), (6, 1)], ids=str)
@pytest.mark.parametrize("zero", [False, True])
def test_quantised_values_are_multiplied_by_their_scale(tmp_path, csv, shape, scale, zero):
    stored = RNG.integers(-100, 100, shape).astype(np.int8)
    scale = scale if isinstance(scale, float) else RNG.uniform(0.1, 1, scale).astype(np.float32)
    per_row = isinstance(scale, np.ndarray) and len(scale) == 6
    factor = np.reshape(scale, (6, *(1,) * (len(shape) - 1))) if per_row else scale
    arrays = {"zero_point": np.array([3])} if zero else {}
    np.savez(tmp_path / "f.npz", features=stored, scale=scale, **arrays)
    _, notes = bring(tmp_path / "f.npz", csv)
    assert any("multiplied by 'scale'" in note for note in notes)
    wanted = (stored.astype(np.float32) - 3 * zero) * factor
    for video, frames in zip(IDS, wanted, strict=True):
        np.testing.assert_allclose(frames_of(open_features(TOY, "x"))[video], np.atleast_2d(frames), rtol=1e-6)


def test_quantised_values_without_a_scale_are_said_and_an_open_offset_is_refused(tmp_path, csv):
    stored = RNG.integers(0, 255, (6, 4)).astype(np.uint8)
    np.savez(tmp_path / "g.npz", features=stored, scale=0.1, min=np.zeros(4))
    assert "'min', whose meaning is open" in refused(tmp_path / "g.npz", csv)
    np.savez(tmp_path / "g.npz", features=stored, scale=np.ones(5))
    assert "'scale' in g.npz is (5,) for features (6, 4)" in refused(tmp_path / "g.npz", csv)
    np.save(tmp_path / "f.npy", stored)
    _, notes = bring(tmp_path / "f.npy", csv)
    assert any("no 'scale': they were read as they are" in note for note in notes)


def test_tensors_that_torch_quantised(tmp_path, csv):
    tensor = torch.quantize_per_tensor(torch.from_numpy(POOLED), 0.01, 0, torch.qint8)
    torch.save({"features": tensor}, tmp_path / "f.pt")
    bring(tmp_path / "f.pt", csv)
    np.testing.assert_allclose(pooled(), tensor.dequantize().numpy())


@pytest.mark.parametrize("file", ["f.npy", "f.npz", "f.h5"])
def test_structured_arrays(tmp_path, csv, file):
    kind = [("id", "S8" if file == "f.h5" else "U8"), ("feature", "f4", (4,)), ("n_frames", "i4")]
    array = np.array([(video, row, 3) for video, row in zip(IDS[::-1], POOLED[::-1], strict=True)], dtype=kind)
    if file == "f.npy":
        np.save(tmp_path / file, array)
    elif file == "f.npz":
        np.savez(tmp_path / file, data=array)
    else:
        h5py.File(tmp_path / file, "w")["data"] = array
    bring(tmp_path / file, csv)
    np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))["a1"], POOLED[:1])


def test_structs_cells_and_sparse_matrices_of_matlab(tmp_path, csv):
    cells = np.empty((1, 6), dtype=object)
    cells[0] = list(SEQUENCES)
    scipy.io.savemat(tmp_path / "cells.mat", {"data": {"feats": cells, "fps": 25.0}})
    bring(tmp_path / "cells.mat", csv)
    np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))["b1"], SEQUENCES[1])
    scipy.io.savemat(tmp_path / "sparse.mat", {"X": scipy.sparse.csc_matrix(POOLED.T.astype(float))})
    bring(tmp_path / "sparse.mat", csv, replace=True)
    np.testing.assert_array_equal(pooled(), POOLED)


def test_a_zipped_folder(tmp_path, csv):
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for video, row in zip(IDS, POOLED, strict=True):
            for name in (f"features/YoYo/{video}.npy", f"__MACOSX/features/YoYo/._{video}.npy"):
                with archive.open(name, "w") as stream:
                    np.save(stream, row) if name.startswith("f") else stream.write(b"finder")
    bring(tmp_path / "f.zip", csv)
    np.testing.assert_array_equal(pooled(), POOLED)
    bring(tmp_path / "f.zip", None, replace=True)
    assert open_features(TOY, "x").counts == {"YoYo": 6}


def test_lengths_beside_pooled_features_are_of_the_videos(tmp_path, csv):
    np.savez(tmp_path / "f.npz", features=POOLED, lengths=np.array([25, 30, 25, 16, 80, 9]))
    manifest, notes = bring(tmp_path / "f.npz", csv)
    assert manifest.kind == "pooled"
    assert any("not used: lengths" in note for note in notes)


def test_lengths_beside_as_many_values_as_videos_are_of_the_frames(tmp_path, csv):
    frames = RNG.normal(size=(13, 6)).astype(np.float32)
    np.savez(tmp_path / "f.npz", features=frames, lengths=np.array([3, 1, 2, 3, 2, 2]))
    bring(tmp_path / "f.npz", csv)
    np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))["b1"], frames[3:4])


def test_lengths_beside_padded_sequences_cut_the_padding(tmp_path, csv):
    lengths = np.array([3, 1, 2, 3, 1, 2])
    np.savez(tmp_path / "f.npz", features=SEQUENCES, lengths=lengths)
    bring(tmp_path / "f.npz", csv)
    features = open_features(TOY, "x")
    assert features.lengths.tolist() == lengths.tolist()
    np.testing.assert_array_equal(frames_of(features)["a2"], SEQUENCES[2, :2])
    np.savez(tmp_path / "g.npz", features=SEQUENCES, lengths=lengths + 1)
    with pytest.raises(Exception, match="larger than the sequence"):
        bring(tmp_path / "g.npz", csv, replace=True)


def test_complex_values_are_refused(tmp_path, csv):
    np.save(tmp_path / "f.npy", POOLED.astype(complex))
    assert "complex128, not real numbers" in refused(tmp_path / "f.npy", csv)
