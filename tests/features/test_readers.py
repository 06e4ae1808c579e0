"""Foreign feature files: what each holds, that it is streamed, and what is refused."""

import pickle
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from zslbench.errors import ZslbenchError
from zslbench.features import _readers as readers
from zslbench.features import formats
from zslbench.features._axes import Axes
from zslbench.features._readers import open_source

pytestmark = pytest.mark.versions

IDS = [f"v{i}" for i in range(7)]
RNG = np.random.default_rng(0)
POOLED = RNG.normal(size=(7, 4)).astype(np.float32)
SEQUENCES = RNG.normal(size=(7, 3, 4)).astype(np.float32)
LENGTHS = np.array([2, 1, 4, 3, 1, 2, 5])
RAGGED = RNG.normal(size=(LENGTHS.sum(), 4)).astype(np.float32)


def read(path, order=None, videos=IDS, **options):
    """Return (source, all frames)."""
    with open_source(path, videos=videos, **options) as source:
        blocks = list(source.blocks(order))
    assert sum(n for n, _ in blocks) == len(source.lengths)
    return source, np.concatenate([frames for _, frames in blocks])


@pytest.fixture(params=[1, 40, 1 << 25], ids=["row by row", "few rows", "at once"])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(readers, "_LARGEST_BLOCK", 4 * request.param)


def save(array, path):
    """Save one array in every format that has one."""
    match path.name:
        case "a.npy":
            np.save(path, array)
        case "columns.npy":
            np.save(path, np.asfortranarray(array))
        case "a.npz":
            np.savez(path, features=array)
        case "deflated.npz":
            np.savez_compressed(path, other=array)
        case "columns.npz":
            np.savez(path, features=np.asfortranarray(array))
        case "v5.mat":
            scipy.io.savemat(path, {"features": array, "labels": np.ones((len(array), 1))})
        case "v5-last.mat":
            scipy.io.savemat(path, {"X": array.T, "labels": np.ones((len(array), 1))})
        case "v73.mat" | "v73-last.mat":
            # MATLAB's v7.3 stores the axes in reverse; "last" is a MATLAB array with videos in its last axis.
            with h5py.File(path, "w", userblock_size=512) as file:
                stored = array if path.name == "v73-last.mat" else array.T
                file.create_dataset(
                    "features", data=stored, chunks=tuple(min(2, n) for n in stored.shape), compression=1
                )
        case "a.h5":
            h5py.File(path, "w").create_dataset("deep/features", data=array, chunks=(2, *array.shape[1:]))
        case "a.pt":
            torch.save(torch.from_numpy(array), path)
        case "dict.pth":
            torch.save({"features": torch.from_numpy(array), "labels": torch.ones(len(array))}, path)
        case "old.pt":
            torch.save(torch.from_numpy(array), path, _use_new_zipfile_serialization=False)
    return path


ONE_ARRAY = ["a.npy", "columns.npy", "a.npz", "deflated.npz", "columns.npz", "v5.mat", "v5-last.mat"]
ONE_ARRAY += ["v73.mat", "v73-last.mat", "a.h5", "a.pt", "dict.pth", "old.pt"]


@pytest.mark.parametrize("name", ONE_ARRAY)
@pytest.mark.parametrize(("array", "kind", "length"), [(POOLED, "pooled", 1), (SEQUENCES, "sequences", 3)])
def test_one_array_in_every_format(tmp_path, block_bytes, name, array, kind, length):
    source, frames = read(save(array, tmp_path / name))
    assert (source.kind, source.dim, source.dtype, source.names) == (kind, 4, np.float32, None)
    assert source.lengths.tolist() == [length] * 7
    np.testing.assert_array_equal(frames, array.reshape(-1, 4))


@pytest.mark.parametrize("name", ["a.npz", "a.mat", "a.h5"])
def test_ragged_beside_lengths(tmp_path, block_bytes, name):
    path = tmp_path / name
    if name == "a.npz":
        np.savez(path, features=RAGGED, lengths=LENGTHS)
    elif name == "a.mat":
        scipy.io.savemat(path, {"features": RAGGED, "lengths": LENGTHS.astype(float)})  # MATLAB numbers are doubles
    else:
        with h5py.File(path, "w") as file:
            file["features"], file["lengths"] = RAGGED, LENGTHS
    source, frames = read(path)
    assert (source.kind, source.lengths.tolist()) == ("sequences", LENGTHS.tolist())
    np.testing.assert_array_equal(frames, RAGGED)


def save_items(items, path):
    if path.suffix == ".pt":
        torch.save({name: torch.from_numpy(array) for name, array in items.items()}, path)
    elif path.suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            for name, array in items.items():
                file[name] = array
    else:
        for name, array in items.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(path / f"{name}.npy", array)
    return path


@pytest.mark.parametrize("name", ["folder", "a.hdf5", "a.pt"])
@pytest.mark.parametrize("kind", ["pooled", "sequences"])
def test_one_array_a_video(tmp_path, block_bytes, name, kind):
    items = dict(zip(IDS, POOLED if kind == "pooled" else np.split(RAGGED, np.cumsum(LENGTHS)[:-1]), strict=True))
    order = np.array([6, 0, 3, 1, 2, 5, 4])
    source, frames = read(save_items(items, tmp_path / name), order)
    assert (source.kind, source.names) == (kind, tuple(IDS))
    np.testing.assert_array_equal(frames, np.concatenate([np.atleast_2d(items[IDS[i]]) for i in order]))


def test_torch_lets_go_of_what_it_read_and_reads_on(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_REMAP_BYTES", 10)
    monkeypatch.setattr(readers, "BLOCK_BYTES", 20)
    np.testing.assert_array_equal(read(save(POOLED, tmp_path / "a.pt"))[1], POOLED)


def test_bfloat16_and_gradients(tmp_path):
    torch.save(torch.ones(7, 4, dtype=torch.bfloat16, requires_grad=True), tmp_path / "a.pt")
    source, frames = read(tmp_path / "a.pt")
    assert source.dtype == frames.dtype == np.float32


def test_key_chooses(tmp_path):
    np.savez(tmp_path / "a.npz", rgb=POOLED, flow=POOLED + 1)
    np.testing.assert_array_equal(read(tmp_path / "a.npz", key="flow")[1], POOLED + 1)
    with pytest.raises(
        ZslbenchError, match=r"contains 2 arrays \(flow \(7, 4\), rgb \(7, 4\)\); choose one with --key"
    ):
        read(tmp_path / "a.npz")
    with pytest.raises(ZslbenchError, match=r"no array 'flo'. Did you mean flow"):
        read(tmp_path / "a.npz", key="flo")


@pytest.mark.parametrize("name", ["v5.mat", "v73.mat", "v73-last.mat"])
def test_a_square_matlab_array_needs_a_word(tmp_path, name):
    square = RNG.normal(size=(7, 7))
    path = save(square, tmp_path / name)
    with pytest.raises(ZslbenchError, match="add --axes nd or --axes dn"):
        read(path)
    np.testing.assert_array_equal(read(path, axes=Axes("dn" if name == "v73-last.mat" else "nd"))[1], square)
    np.testing.assert_array_equal(read(path, axes=Axes("nd" if name == "v73-last.mat" else "dn"))[1], square.T)


def test_a_turned_array_is_told(tmp_path):
    assert "videos last" in " ".join(read(save(POOLED, tmp_path / "v5-last.mat"))[0].notes)
    assert read(save(POOLED, tmp_path / "v5.mat"))[0].notes == ()


def pickled(path):
    objects = np.array([pathlike(), "b"], dtype=object)
    match path.suffix:
        case ".npy":
            np.save(path, objects, allow_pickle=True)
        case ".npz":
            np.savez(path, features=objects)
        case ".pt":
            torch.save({"features": pathlike()}, path)
        case ".pth":
            path.write_bytes(pickle.dumps([1]))
    return path


class pathlike:  # noqa: N801 - a class that weights_only does not know
    pass


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt", "a.pth"])
def test_pickled_content_is_refused(tmp_path, name):
    with pytest.raises(ZslbenchError) as error:
        read(pickled(tmp_path / name))
    assert "objects" in str(error.value) or "test_readers.pathlike" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [n for n in ONE_ARRAY if n != "v5-last.mat"])
def test_a_truncated_file_is_refused(tmp_path, name):
    path = save(RNG.normal(size=(7, 300)).astype(np.float32), tmp_path / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ZslbenchError, match=f"{name} cannot be read"):
        read(path)


def test_a_longer_file_is_refused(tmp_path):
    path = save(POOLED, tmp_path / "a.npy")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ZslbenchError, match="more bytes than its header says"):
        read(path)


def test_a_changed_zip_member_is_refused(tmp_path):
    path = save(POOLED, tmp_path / "a.npz")
    content = bytearray(path.read_bytes())
    content[content.find(POOLED.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ZslbenchError, match="CRC"):
        read(path)


@pytest.mark.parametrize("name", ["folder", "a.hdf5", "a.pt"])
@pytest.mark.parametrize(
    ("odd", "match"),
    [
        (POOLED[:2, :3], r"arrays are \(2, 4\), \(2, 3\), ...: the first axis is always 2"),
        (POOLED[0], r"v0 is \(2, 4\) but v1 is \(4,\)"),
        (SEQUENCES, r"v0 is \(2, 4\) but v1 is \(7, 3, 4\); remove"),
        (POOLED[:3, :3], r"v0 is \(2, 4\) but v1 is \(3, 3\); remove"),
        (POOLED[:2].astype(bool), "not real numbers|no arrays"),
    ],
)
def test_ragged_surprises_are_refused(tmp_path, name, odd, match):
    items = {"v0": POOLED[:2], "v1": odd}
    if odd.dtype == bool and name == "a.hdf5":
        pytest.skip("h5py stores them as an enumeration, which is not listed")
    with pytest.raises(ZslbenchError, match=match):
        read(save_items(items, tmp_path / name), videos=["v0", "v1"])


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"features": RAGGED, "lengths": LENGTHS[:-1]}, "'lengths' add up to 13 but features has 18 frames"),
        ({"features": RAGGED, "lengths": [-1, 3, *LENGTHS[1:]]}, "must be whole numbers"),
        ({"features": RAGGED, "lengths": LENGTHS + 0.5}, "must be whole numbers"),
        ({"features": POOLED[0]}, r"features in a.npz is \(4,\); save pooled features as"),
        ({"features": np.empty((7, 0))}, r"features in a.npz is \(7, 0\)"),
        ({"features": POOLED.astype(complex)}, "contains complex128, not real numbers"),
        ({"features": np.array([["a", "b"]] * 7)}, "no arrays of numbers"),
        ({}, "contains no arrays"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, arrays, match):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ZslbenchError, match=match):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.npy", b"no numpy", "a.npy cannot be read"),
        ("a.npz", b"no zip", "a.npz cannot be read"),
        ("a.mat", b"no matlab" * 100, "a.mat cannot be read"),
        ("a.h5", b"no hdf5", "a.h5 cannot be read"),
        ("a.pt", b"no torch", "a.pt"),
        ("a.lmdb", b"", "unknown format; convert it to one of .npy, .npz"),
        ("empty.npy", b"", "empty.npy cannot be read"),
    ],
)
def test_other_content_is_refused(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ZslbenchError, match=match):
        read(tmp_path / name)


def test_missing_and_empty_sources(tmp_path):
    with pytest.raises(ZslbenchError, match=r"there is no .*gone.npy"):
        read(tmp_path / "gone.npy")
    with pytest.raises(ZslbenchError, match="contains no arrays"):
        read(tmp_path)


def test_torch_of_something_else(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(ZslbenchError, match="contains no arrays of numbers"):
        read(tmp_path / "a.pt")


def test_rows_without_names_need_a_csv(tmp_path):
    with pytest.raises(ZslbenchError, match=r"give a list .* with --videos"):
        read(save(POOLED, tmp_path / "a.npy"), videos=None)


def test_large_members_are_not_read_whole(tmp_path, monkeypatch):
    """A deflated member is decompressed a block at a time."""
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1000)
    np.savez_compressed(tmp_path / "a.npz", features=np.zeros((1000, 100), np.float32))
    largest = 0
    readinto = zipfile.ZipExtFile.readinto

    def watched(self, view):
        nonlocal largest
        largest = max(largest, len(view))
        return readinto(self, view)

    monkeypatch.setattr(zipfile.ZipExtFile, "readinto", watched)
    read(tmp_path / "a.npz", videos=[str(i) for i in range(1000)])
    assert largest < 2000


@pytest.mark.parametrize(("name", "shape"), [("a.h5", (10, 4)), ("a.h5", (10, 3, 4)), ("v73.mat", (10, 3, 4))])
def test_compressed_chunks_are_read_once(tmp_path, monkeypatch, name, shape):
    """Blocks are whole chunks: parts of one would each decompress all of it."""
    monkeypatch.setattr(readers, "BLOCK_BYTES", 2 * 3 * 4 * 4)
    stored = shape[::-1] if name == "v73.mat" else shape
    chunks = tuple(4 if n == 10 else n for n in stored)
    with h5py.File(tmp_path / name, "w") as file:
        file.create_dataset("features", data=np.ones(stored), chunks=chunks, compression=1)
    with open_source(tmp_path / name, videos=list("0123456789")) as source:
        sizes = [n for n, _ in source.blocks()]
    assert sizes == [4, 4, 2]


def test_key_overrules_names_of_videos(tmp_path):
    torch.save({"v0": torch.from_numpy(POOLED), "v1": torch.ones(1)}, tmp_path / "a.pt")
    assert read(tmp_path / "a.pt", key="v0")[0].names is None
