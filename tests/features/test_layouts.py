"""Layouts that features have on disk: each gives the feature set that one array and a CSV give."""

import io
import json
import pickle
import tarfile

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from toy_features import IDS, LABELS, POOLED, RAGGED, SEQUENCES, TOY, bring, frames_of, refused, write

from zslbench.features.catalog import open_features

pytestmark = pytest.mark.versions

CLASSES = [TOY.resolve_class(name) for name in LABELS]
KINDS = {"pooled": list(POOLED), "sequences": list(SEQUENCES), "ragged": RAGGED}
SHUFFLED = [3, 0, 5, 1, 4, 2]


def save_one(path, array, **more):
    """Save the features of one video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".pkl":
            path.write_bytes(pickle.dumps({"features": array, **more}))
        case ".npy":
            np.save(path, array)
        case ".pth" if not more:
            torch.save(torch.from_numpy(array.copy()), path)
        case _:
            write(path, features=array, **more)
    return path


def add(archive, name, content):
    if isinstance(content, np.ndarray):
        stream = io.BytesIO()
        np.save(stream, content)
        content = stream.getvalue()
    elif not isinstance(content, bytes):
        content = content.encode()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def shard(path, rows, *, json_=False, cls=None, mode="w"):
    """Write (key, class, array) as webdataset does."""
    with tarfile.open(path, mode) as archive:
        for i, (video, name, array) in enumerate(rows):
            key = f"{i:05}" if json_ else video
            add(archive, f"{key}.npy", array)
            if json_:
                add(archive, f"{key}.json", json.dumps({"video_id": video, "label": name, "fps": 25}))
            if cls:
                add(archive, f"{key}.cls", str(cls(name)))
    return path


def rows_of(arrays):
    return [(IDS[i], CLASSES[i], arrays[i]) for i in SHUFFLED]


def vlen(path, arrays, **more):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("features", (len(arrays),), dtype=h5py.vlen_dtype(np.float32))
        for i, array in enumerate(arrays):
            data[i] = array.ravel()
        for name, values in more.items():
            file[name] = values
    return path


def layouts(folder, arrays):
    """Yield (name, path) of each layout of the same features, in another order than the CSV where it has one."""
    for suffix in (".npy", ".npz", ".mat", ".h5", ".pt", ".pth", ".pkl"):
        for i in SHUFFLED:
            save_one(folder / suffix[1:] / f"{IDS[i]}{suffix}", arrays[i])
            save_one(folder / f"{suffix[1:]}-nested" / CLASSES[i] / f"{IDS[i]}.avi{suffix}", arrays[i])
        yield suffix, folder / suffix[1:]
        yield f"nested {suffix}", folder / f"{suffix[1:]}-nested"
    for i, video in enumerate(IDS):
        save_one(folder / "labelled" / f"{video}.pt", arrays[i], label=torch.tensor([3]), fps=torch.tensor(25.0))
    yield "a dict with a label", folder / "labelled"
    if arrays[0].ndim > 1:
        for i, video in enumerate(IDS):
            path = folder / "clips" / f"{video}.pt"
            path.parent.mkdir(exist_ok=True)
            torch.save([torch.from_numpy(clip.copy()) for clip in arrays[i]], path)
        yield "a list of clips", folder / "clips"
        lists = {video: list(array) for video, array in zip(IDS, arrays, strict=True)}
        (folder / "lists.pkl").write_bytes(pickle.dumps(lists))
        yield "a dict of lists", folder / "lists.pkl"
    rows = rows_of(arrays)
    yield "tar", shard(folder / "one.tar", rows)
    yield "tar with JSON", shard(folder / "json.tar", rows, json_=True)
    yield "tar with numbers", shard(folder / "cls.tar", rows, cls=CLASSES.index)
    with tarfile.open(folder / "torch.tar", "w") as archive:
        for i in SHUFFLED:
            stream = io.BytesIO()
            torch.save({"features": torch.from_numpy(arrays[i].copy()), "n": 3}, stream)
            add(archive, f"./features/{CLASSES[i]}/{IDS[i]}.pth", stream.getvalue())
    yield "tar of torch files", folder / "torch.tar"
    yield "tar.gz", shard(folder / "one.tar.gz", rows, mode="w:gz")
    for i in range(3):
        (folder / "shards").mkdir(exist_ok=True)
        shard(folder / "shards" / f"s-{i:06}.tar", rows[2 * i : 2 * i + 2], json_=True)
    yield "shards", folder / "shards" / "s-{000000..000002}.tar"
    yield "a folder of shards", folder / "shards"
    with h5py.File(folder / "groups.h5", "w") as file:
        for video, _, array in rows:
            file[f"{video}/features"] = array
            file[f"{video}/label"] = 3
    yield "groups", folder / "groups.h5"
    names = [video for video, *_ in rows]
    shapes = [(1, len(a)) if a.ndim == 1 else a.shape for *_, a in rows]
    if arrays is RAGGED:
        yield "flattened", vlen(folder / "vlen.h5", [a for *_, a in rows], shape=shapes, names=names)
        yield "lengths", vlen(folder / "lengths.h5", [a for *_, a in rows], lengths=[t for t, _ in shapes], names=names)
    if arrays is not RAGGED:
        matrix = np.stack([a for *_, a in rows])
        yield "rows by name", write(folder / "rows.npz", features=matrix, names=names)
        for part, at in {"train": slice(0, 4), "test": slice(4, 6)}.items():
            (folder / "splits").mkdir(exist_ok=True)
            write(folder / "splits" / f"{part}.h5", data=matrix[at], video_urls=[f"{n}.avi" for n in names[at]])
        yield "a file per split", folder / "splits"


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_gives_the_same_feature_set(tmp_path, csv, kind):
    arrays = KINDS[kind]
    whole = {"features": np.concatenate(RAGGED), "lengths": [len(a) for a in RAGGED]}
    given = whole if kind == "ragged" else {"features": np.stack(arrays)}
    np.savez(tmp_path / "f.npz", **given)
    wanted, _ = bring(tmp_path / "f.npz", csv)
    (tmp_path / "layouts").mkdir()
    pooled_matlab = {".mat", "nested .mat"} if kind == "pooled" else set()  # MATLAB has no vectors, only (1, D)
    digests = {
        name: bring(path, csv, replace=True)[0].digest
        for name, path in layouts(tmp_path / "layouts", arrays)
        if name not in pooled_matlab
    }
    assert {name for name, each in digests.items() if each != wanted.digest} == set()
    assert len(digests) > 20


def test_every_layout_that_names_classes_needs_no_csv(tmp_path):
    (tmp_path / "layouts").mkdir()
    read = {}
    for name, path in layouts(tmp_path / "layouts", list(SEQUENCES)):
        if name.startswith("nested") or name in ("tar with JSON", "shards", "a folder of shards"):
            bring(path, None, replace=True)
            features = open_features(TOY, "x")
            frames = frames_of(features)
            assert sorted(features.ids) == sorted(IDS), name
            read[name] = all(np.array_equal(frames[v], a) for v, a in zip(IDS, SEQUENCES, strict=True))
            assert dict(zip(features.ids, [TOY.classes[i] for i in features.labels], strict=True)) == dict(
                zip(IDS, CLASSES, strict=True)
            )
    assert len(read) == 10
    assert all(read.values()), read


@pytest.mark.parametrize("layout", ["{}", "{}/i3d/rgb", "{}_rgb", "x/{}"])
def test_hdf5_whose_ids_name_the_classes_needs_no_csv(tmp_path, layout):
    ids = [f"v_{name}_g0{i}_c01" for i, name in enumerate(CLASSES)]
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for video, array in zip(ids, POOLED, strict=True):
            file[layout.format(video)] = array
    _, notes = bring(tmp_path / "f.h5", None)
    features = open_features(TOY, "x")
    assert features.ids == sorted(ids)
    assert [TOY.classes[i] for i in features.labels] == [video.split("_")[1] for video in features.ids]
    assert set(features.groups) == {f"0{i}" for i in range(6)}
    assert any("classes from the ids" in note for note in notes)


def test_files_of_one_class_each_name_the_videos_of_their_rows(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    for name in dict.fromkeys(CLASSES):
        at = [i for i, each in enumerate(CLASSES) if each == name]
        write(folder / f"{name}.h5", data=POOLED[at], video_urls=[f"{IDS[i]}.avi" for i in at])
    bring(folder, None)
    features = open_features(TOY, "x")
    assert dict(zip(features.ids, [TOY.classes[i] for i in features.labels], strict=True)) == dict(
        zip(IDS, CLASSES, strict=True)
    )
    for video, array in zip(IDS, POOLED, strict=True):
        np.testing.assert_array_equal(frames_of(features)[video], array[None])


def test_files_of_lists_of_one_class_each_are_joined(tmp_path, csv):
    folder = tmp_path / "f"
    folder.mkdir()
    for name in dict.fromkeys(CLASSES):
        at = [i for i, each in enumerate(CLASSES) if each == name]
        names = [f"{IDS[i]}.avi".encode() for i in at]
        held = {"features": [RAGGED[i] for i in at], "video_names": names, "fps": [25] * len(at)}
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(held))
    (folder / "class.txt").write_text("Archery")
    np.save(folder / "labels.npy", np.arange(4))
    bring(folder, None)
    for video, array in zip(IDS, RAGGED, strict=True):
        np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))[video], array)
    assert bring(folder, csv, replace=True)[0].n_videos == 6


def test_a_folder_of_two_formats_is_refused(tmp_path, csv):
    for video in IDS:
        save_one(tmp_path / "f" / f"{video}.npy", POOLED[0])
        save_one(tmp_path / "f" / f"{video}.pt", POOLED[0])
    assert "has 6 .npy and 6 .pt files; keep one format" in refused(tmp_path / "f", csv)


def test_matlab_files_of_a_split_each_are_joined_with_videos_in_the_last_axis(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    for part, at in {"train": slice(0, 2), "test": slice(2, 6)}.items():
        names = np.array([f"/data/{c}/{v}.avi" for c, v in zip(CLASSES[at], IDS[at], strict=True)], dtype=object)
        scipy.io.savemat(folder / f"{part}.mat", {"features": POOLED[at].T, "image_files": names[:, None]})
    bring(folder, None)
    np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))["c2"], POOLED[5:])


# --- shards -----------------------------------------------------------------------------------------------------------


def test_nothing_of_a_tar_file_is_written_where_it_says(tmp_path, csv):
    path = tmp_path / "f.tar"
    with tarfile.open(path, "w") as archive:
        for video, array in zip(IDS, SEQUENCES, strict=True):
            add(archive, f"{video}.npy", array)
        kinds = {"../outside.npy": tarfile.SYMTYPE, "/etc/link.npy": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE}
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    before = sorted(tmp_path.parent.iterdir())
    bring(path, csv)
    assert sorted(tmp_path.parent.iterdir()) == before
    assert open_features(TOY, "x").ids == IDS


@pytest.mark.parametrize("cut", [700, 1600])
def test_a_truncated_tar_file_is_refused(tmp_path, csv, cut):
    path = shard(tmp_path / "f.tar", rows_of(list(SEQUENCES)))
    path.write_bytes(path.read_bytes()[:cut])
    said = refused(path, csv)
    assert "f.tar" in said
    assert "cannot be read" in said or "missing video" in said


def test_missing_shards_and_ranges_are_named(tmp_path, csv):
    shard(tmp_path / "s-0.tar", rows_of(list(SEQUENCES)))
    assert "lacks 2 of 3 shards: s-1.tar, s-2.tar" in refused(tmp_path / "s-{0..2}.tar", csv)
    assert "has the range {2..0}" in refused(tmp_path / "s-{2..0}.tar", csv)


def test_a_kind_of_array_that_some_keys_lack_is_refused(tmp_path, csv):
    with tarfile.open(tmp_path / "f.tar", "w") as archive:
        for video, array in zip(IDS, SEQUENCES, strict=True):
            add(archive, f"{video}.rgb.npy", array)
            if video != "b1":
                add(archive, f"{video}.flow.npy", -array)
    assert "not every key has flow (5 of 6 keys)" in refused(tmp_path / "f.tar", csv)


def test_one_of_several_kinds_is_chosen_by_key(tmp_path, csv):
    with tarfile.open(tmp_path / "f.tar", "w") as archive:
        for video, array in zip(IDS, SEQUENCES, strict=True):
            add(archive, f"{video}.rgb.npy", array)
            add(archive, f"{video}.flow.npy", -array)
    assert "choose one with --key" in refused(tmp_path / "f.tar", csv)
    bring(tmp_path / "f.tar", csv, key="flow")
    np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))["c1"], -SEQUENCES[3])


@pytest.mark.parametrize("name", ["a0.npy", "a0.pkl", "a1.json"])
def test_a_damaged_member_is_named(tmp_path, csv, name):
    with tarfile.open(tmp_path / "f.tar", "w") as archive:
        for video, array in zip(IDS, SEQUENCES, strict=True):
            add(archive, f"{video}.npy", array)
        add(archive, name, b"\x80no such thing")
    assert name in refused(tmp_path / "f.tar", csv)


# --- vectors of any length --------------------------------------------------------------------------------------------


def test_vectors_of_any_length_without_shapes_are_refused(tmp_path, csv):
    said = refused(vlen(tmp_path / "f.h5", RAGGED), csv)
    assert "have 8, 4, ... values; if they are flattened sequences, save an array 'shape' (n, 2)" in said


def test_shapes_that_do_not_fit_are_refused(tmp_path, csv):
    shapes = [a.shape for a in RAGGED]
    shapes[2] = (3, 4)
    said = refused(vlen(tmp_path / "f.h5", RAGGED, shape=shapes), csv)
    assert "'shape' says (3, 4) for row 3 of features, which has 16 values" in said


# --- videos without a frame -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrays", [list(POOLED), list(SEQUENCES), RAGGED], ids=list(KINDS))
@pytest.mark.parametrize("empty", [(0,), (0, 4)])
def test_videos_without_a_frame_are_left_out_and_recorded(tmp_path, csv, arrays, empty):
    folder = tmp_path / "f"
    for i, video in enumerate(IDS):
        save_one(folder / f"{video}.npy", arrays[i] if i not in (1, 4) else np.empty(empty, np.float32))
    assert "2 videos without a frame: b1 (line 3); a3 (line 6). Remedy: " in refused(folder, csv)
    manifest, notes = bring(folder, csv, skip_empty=True)
    features = open_features(TOY, "x")
    assert features.ids == ["a1", "a2", "c1", "c2"]
    np.testing.assert_array_equal(frames_of(features)["c2"], np.atleast_2d(arrays[5]))
    assert manifest.note == "2 videos without a frame left out: b1, a3"
    assert manifest.note in notes


def test_lengths_of_zero_are_left_out_too(tmp_path, csv):
    arrays = [a if i else a[:0] for i, a in enumerate(RAGGED)]
    np.savez(tmp_path / "f.npz", features=np.concatenate(arrays), lengths=[len(a) for a in arrays])
    bring(tmp_path / "f.npz", csv, skip_empty=True)
    features = open_features(TOY, "x")
    assert features.ids == IDS[1:]
    np.testing.assert_array_equal(frames_of(features)["a2"], RAGGED[2])
