"""Finished class vectors as arrays: every container, both orders of axes, names in the file, beside it or in a list."""

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.importing import import_semantics
from zslbench.semantics.store import list_semantics

DATASET = "olympicsports16"
NAMES = [name.replace("_", " ").title() for name in reversed(get_dataset(DATASET).classes)]  # another order
VECTORS = np.random.default_rng(0).standard_normal((16, 5)).astype(np.float32)
CANONICAL = VECTORS[::-1]  # as the dataset has its classes


def assert_imported(path, vectors=CANONICAL, **options):
    made = import_semantics("mine", path, dataset=DATASET, **options)
    found = open_semantics("mine:normalise=false", get_dataset(DATASET))
    np.testing.assert_array_equal(found.vectors, vectors)
    return made


def write_h5(path, content):
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file[name] = value


def tensors(content):
    arrays = {name: torch.from_numpy(value) for name, value in content.items() if isinstance(value, np.ndarray)}
    return content | arrays


WRITERS = {
    "npz": lambda path, content: np.savez(path, **content),
    "json": lambda path, content: path.write_text(
        json.dumps({name: np.asarray(value).tolist() for name, value in content.items()})
    ),
    "h5": write_h5,
    "pkl": lambda path, content: path.write_bytes(pickle.dumps(content)),
    "pt": lambda path, content: torch.save(tensors(content), path),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_one_vector_per_class_name_is_read(tmp_path, suffix):
    path = tmp_path / f"v.{suffix}"
    WRITERS[suffix](path, dict(zip(NAMES, VECTORS.copy(), strict=True)))
    assert assert_imported(path).note == ""


@pytest.mark.parametrize("transposed", [False, True], ids=["Cd", "dC"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_table_beside_names_is_read_in_either_order_of_axes(tmp_path, suffix, transposed):
    path = tmp_path / f"v.{suffix}"
    table = np.ascontiguousarray(VECTORS.T) if transposed else VECTORS
    WRITERS[suffix](path, {"class_names": NAMES, "word_embeddings": table, "epochs": np.arange(3)})
    assert_imported(path)


def test_lists_of_json_records_are_read(tmp_path):
    rows = [{"class": name, "embedding": row} for name, row in zip(NAMES, VECTORS.tolist(), strict=True)]
    (tmp_path / "v.json").write_text(json.dumps(rows))
    assert_imported(tmp_path / "v.json")


@pytest.mark.parametrize("transposed", [False, True], ids=["Cd", "dC"])
@pytest.mark.parametrize("suffix", ["npy", "pt", "h5", "json", "csv", "txt"])
def test_a_table_alone_needs_to_be_told_its_classes(tmp_path, suffix, transposed):
    path, table = tmp_path / f"v.{suffix}", VECTORS.T if transposed else VECTORS
    match suffix:
        case "npy":
            np.save(path, table)
        case "pt":
            torch.save(torch.from_numpy(table.copy()), path)
        case "h5":
            write_h5(path, {"att": table})
        case "json":
            path.write_text(json.dumps(table.tolist()))
        case _:
            np.savetxt(path, table, delimiter="," if suffix == "csv" else " ", fmt="%.9g")
    if suffix not in ("csv", "txt"):
        with pytest.raises(ZslbenchError, match="--class-list canonical"):
            import_semantics("mine", path, dataset=DATASET)
    (tmp_path / "order.txt").write_text("\n".join(f"{i} {name}" for i, name in enumerate(NAMES, 1)))
    made = assert_imported(path, class_list=tmp_path / "order.txt")
    assert made.note == "classes from order.txt"


@pytest.mark.parametrize("beside", ["v.txt", "v_names.txt", "class_names.txt"])
def test_names_may_lie_beside_the_array(tmp_path, beside):
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / beside).write_text("\n".join(NAMES))
    assert assert_imported(tmp_path / "v.npy").note == f"classes from {beside}"


def test_the_canonical_order_is_taken_only_if_it_is_said(zslbench, tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    args = ("semantics", "import", "mine", tmp_path / "v.npy", "--dataset", DATASET)
    code, _, err = zslbench(*args)
    assert (code, list_semantics()) == (2, [])
    assert "--class-list FILE" in err
    code, out, _ = zslbench(*args, "--class-list", "canonical")
    assert code == 0
    assert f"classes from the order of {DATASET}" in out
    found = open_semantics("mine:normalise=false", get_dataset(DATASET))
    np.testing.assert_array_equal(found.vectors, VECTORS)


def test_a_class_list_that_contradicts_the_file_is_refused(tmp_path):
    np.savez(tmp_path / "v.npz", names=NAMES, vectors=VECTORS)
    with pytest.raises(ZslbenchError, match="another order than the order of olympicsports16"):
        import_semantics("mine", tmp_path / "v.npz", dataset=DATASET, class_list=Path("canonical"))
    (tmp_path / "order.txt").write_text("\n".join(NAMES))
    assert_imported(tmp_path / "v.npz", class_list=tmp_path / "order.txt")


def test_what_is_open_is_refused(tmp_path):
    square = np.random.default_rng(1).standard_normal((16, 16))
    cases = [
        ({"class_names": NAMES, "table": square}, "rows and columns cannot be distinguished"),
        ({"class_names": NAMES, "att": VECTORS, "original_att": VECTORS}, r"2 tables .*att \(16, 5\)"),
        ({"class_names": NAMES, "att": VECTORS[:9]}, "no table with one vector for each of 16 classes"),
        ({"class_names": ["no", "class"], "att": VECTORS}, "is not a table of class vectors with names"),
        (
            dict(zip([*NAMES[:-1], "walk"], VECTORS, strict=True)),
            "vector of 'walk', which is no class of olympicsports16",
        ),
        ({"class_names": NAMES, "att": np.column_stack([np.arange(16.0), VECTORS])}, "numbers the classes"),
    ]
    for content, sentence in cases:
        np.savez(tmp_path / "v.npz", **content)
        with pytest.raises(ZslbenchError, match=sentence):
            import_semantics("mine", tmp_path / "v.npz", dataset=DATASET)
    np.save(tmp_path / "v.npy", VECTORS)
    with pytest.raises(ZslbenchError, match="--dataset"):
        import_semantics("mine", tmp_path / "v.npy")
    assert list_semantics() == []


def test_a_key_chooses_one_of_several_tables(tmp_path):
    np.savez(tmp_path / "v.npz", class_names=NAMES, att=VECTORS, original_att=VECTORS[:, ::-1])
    assert_imported(tmp_path / "v.npz", CANONICAL[:, ::-1], key="original_att")
    with pytest.raises(ZslbenchError, match=r"no array 'at'; it has class_names 16 texts"):
        import_semantics("other", tmp_path / "v.npz", dataset=DATASET, key="at")


def test_a_matlab_table_without_names_takes_a_class_list(tmp_path):
    scipy.io.savemat(tmp_path / "v.mat", {"att": VECTORS.T.astype(np.float64)})
    (tmp_path / "order.txt").write_text("\n".join(NAMES))
    assert_imported(tmp_path / "v.mat", class_list=tmp_path / "order.txt")


def numbered(kind, path, order):
    """Write the vectors of :data:`NAMES` in another order, with the number of each."""
    table = VECTORS[order]
    match kind:
        case "dict":
            path.write_text(json.dumps({str(i): VECTORS[i].tolist() for i in order}))
        case "dict from 1":
            path.write_text(json.dumps({str(i + 1): VECTORS[i].tolist() for i in order}))
        case "array":
            np.savez(path, vectors=table, labels=order[:, None])
        case "column":
            np.savetxt(path, np.column_stack([order, table]), delimiter=",", fmt="%.9g")
        case "frame":
            np.savetxt(
                path, np.column_stack([order, table]), delimiter=",", fmt="%.9g", header=",0,1,2,3,4", comments=""
            )


@pytest.mark.parametrize(
    ("kind", "name"),
    [("dict", "v.json"), ("dict from 1", "v.json"), ("array", "v.npz"), ("column", "v.csv"), ("frame", "v.csv")],
)
def test_numbers_in_the_file_say_the_order_in_which_the_class_list_is_meant(tmp_path, kind, name):
    numbered(kind, tmp_path / name, np.random.default_rng(1).permutation(16))
    (tmp_path / "order.txt").write_text("\n".join(f"{i} {name}" for i, name in enumerate(NAMES, 1)))
    assert "order.txt, by the" in assert_imported(tmp_path / name, class_list=tmp_path / "order.txt").note
    with pytest.raises(ZslbenchError, match="--class-list|no class"):
        import_semantics("other", tmp_path / name, dataset=DATASET)


def test_numbers_that_contradict_each_other_or_the_class_list_are_refused(tmp_path):
    np.savez(tmp_path / "v.npz", vectors=VECTORS, labels=np.arange(16), ids=np.arange(16)[::-1])
    (tmp_path / "w.json").write_text(json.dumps({str(i): [1.0, float(i)] for i in range(15)}))
    for name, sentence in [
        ("v.npz", r"in two orders \(labels, ids\)"),
        ("w.json", "has 15 vectors, but .* 16 classes"),
    ]:
        with pytest.raises(ZslbenchError, match=sentence):
            import_semantics("mine", tmp_path / name, dataset=DATASET, class_list=Path("canonical"))


@pytest.mark.parametrize("kind", ["object dict", "object names", "structured", "pairs", "matlab", "matlab characters"])
def test_names_inside_are_read_however_numpy_and_matlab_keep_them(tmp_path, kind):
    path = tmp_path / ("v.mat" if "matlab" in kind else "v.pkl" if kind == "pairs" else "v.npy")
    rows = list(zip(NAMES, VECTORS, strict=True))
    match kind:
        case "object dict":
            np.save(path, dict(rows), allow_pickle=True)
        case "object names":
            path = tmp_path / "v.npz"
            np.savez(path, classes=np.array(NAMES, dtype=object), embeddings=VECTORS)
        case "structured":
            np.save(path, np.array(rows, dtype=[("name", "U40"), ("vector", "f4", (5,))]))
        case "pairs":
            path.write_bytes(pickle.dumps(rows))
        case "matlab":
            scipy.io.savemat(path, {"word2vec": VECTORS, "class_names": np.array(NAMES, dtype=object)})
        case _:
            scipy.io.savemat(path, {"word2vec": VECTORS, "classes": np.array(NAMES)})
    assert_imported(path)


def test_classes_of_another_dataset_are_refused_without_the_advice_of_a_class_list(tmp_path):
    (tmp_path / "v.json").write_text(
        json.dumps({"brush_hair": [1.0, 2.0], "cartwheel": [2.0, 1.0], "wave": [3.0, 1.0]})
    )
    with pytest.raises(ZslbenchError, match="brush_hair, cartwheel, wave, which are no classes of .* with --dataset"):
        import_semantics("mine", tmp_path / "v.json", dataset=DATASET)


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], dtype=object))
    torch.save(dict, tmp_path / "v.pt")
    for name in ("v.npy", "v.pt"):
        with pytest.raises(ZslbenchError):
            import_semantics("mine", tmp_path / name, dataset=DATASET, class_list=Path("canonical"))
