"""Tables of finished class vectors: what a table may look like, and columns that would wrongly become values."""

import json

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.semantics.importing import import_semantics
from zslbench.semantics.store import read_class_table

CLASSES = get_dataset("hmdb51").classes
VALUES = np.random.default_rng(0).normal(size=(51, 3)).round(4).astype(np.float32)
HEADER = ("class", "v0", "v1", "v2")


def write(path, header, *before, mark=",", values=VALUES):
    """Write columns ``before`` the values, and the class names as their first column if there is none with text."""
    columns = list(before) if any(isinstance(column[0], str) for column in before) else [CLASSES, *before]
    rows = [mark.join(map(str, row)) for row in zip(*columns, *values.T, strict=True)]
    path.write_text("\n".join([*([mark.join(header)] if header else []), *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "header", "mark"),
    [
        ("a.csv", HEADER, ","),
        ("a.csv", HEADER, ";"),
        ("a.csv", ("", "0", "1", "2"), ","),  # as pandas writes columns without names
        ("a.csv", ("name", "1", "2", "3"), ","),
        ("a.tsv", HEADER, "\t"),
        ("a.txt", HEADER, " "),
        ("a.txt", ("51", "3"), " "),
        ("a.txt", None, " "),
    ],
)
def test_every_class_keeps_its_values(tmp_path, name, header, mark):
    made = import_semantics("x", write(tmp_path / name, header, mark=mark), dataset="hmdb51")
    names, vectors = read_class_table(made, "hmdb51")
    assert names == list(CLASSES)
    np.testing.assert_array_equal(vectors, VALUES)


@pytest.mark.parametrize(
    ("header", "before", "sentence"),
    [
        (("class", "label", *HEADER[1:]), [range(51)], "the column 'label' (0, 1, 2, ...) numbers the classes"),
        (("class", "Class_ID", *HEADER[1:]), [[7] * 51], "the column 'Class_ID' (7, 7, 7, ...) numbers"),
        (("", "class", *HEADER[1:]), [range(51), CLASSES], "the column 1, without a name, (0, 1, 2, ...) numbers"),
        (("class", "z", *HEADER[1:]), [range(1, 52)], "the column 'z' (1, 2, 3, ...) numbers"),
        (("class", "z", *HEADER[1:]), [np.random.default_rng(1).permutation(51)], "the column 'z'"),
        (("class", "words", *HEADER[1:]), [CLASSES, ["a b"] * 51], "the column words has 'a b' in line 2"),
    ],
)
@pytest.mark.parametrize(("suffix", "mark"), [("csv", ","), ("tsv", "\t")])
def test_a_column_that_is_no_feature_is_refused_by_its_name(tmp_path, header, before, sentence, suffix, mark):
    with pytest.raises(ZslbenchError) as error:
        import_semantics("x", write(tmp_path / f"a.{suffix}", header, *before, mark=mark), dataset="hmdb51")
    assert sentence in str(error.value)


def test_labels_without_a_header_or_of_some_classes_are_refused(tmp_path):
    with pytest.raises(ZslbenchError, match="numbers the classes"):
        import_semantics("x", write(tmp_path / "a.txt", None, range(51), mark=" "), dataset="hmdb51")
    path = write(tmp_path / "a.csv", ("class", "z", *HEADER[1:]), CLASSES[::4], range(0, 51, 4), values=VALUES[::4])
    with pytest.raises(ZslbenchError, match=r"'z' \(0, 4, 8, ...\) numbers the classes"):
        import_semantics("x", path, dataset="hmdb51")
    np.savez(tmp_path / "a.npz", names=np.array(CLASSES), vectors=np.c_[VALUES, np.arange(51)])
    with pytest.raises(ZslbenchError, match="value 4 of each vector numbers the classes"):
        import_semantics("x", tmp_path / "a.npz", dataset="hmdb51")


def test_a_true_attribute_of_small_whole_numbers_is_read_if_it_is_halved(tmp_path):
    def bring(speed):
        path = write(tmp_path / "a.csv", ("class", "speed", *HEADER[1:]), CLASSES[:3], speed, values=VALUES[:3])
        return import_semantics("x", path, dataset="hmdb51")

    with pytest.raises(ZslbenchError, match="'speed'.* or halve all values of the column if it is a true attribute"):
        bring([0, 1, 2])
    _, vectors = read_class_table(bring([0, 0.5, 1]), "hmdb51")
    np.testing.assert_array_equal(vectors[:, 0], [0, 0.5, 1])


@pytest.mark.parametrize("header", [None, ("class", "0.5", "1.5", "2.5")])
@pytest.mark.parametrize(("suffix", "mark"), [("csv", ","), ("tsv", "\t"), ("csv", ";")])
def test_a_row_of_numbers_is_no_header(tmp_path, header, suffix, mark):
    with pytest.raises(ZslbenchError, match="has no header: line 1 is a row of numbers"):
        import_semantics("x", write(tmp_path / f"a.{suffix}", header, mark=mark), dataset="hmdb51")


def test_attributes_that_are_0_and_1_or_counts_are_values(tmp_path):
    counts = np.random.default_rng(0).integers(0, 3, (51, 20)).astype(np.float32)
    path = write(tmp_path / "a.csv", ("class", *(f"a{i}" for i in range(20))), values=counts)
    np.testing.assert_array_equal(read_class_table(import_semantics("x", path, dataset="hmdb51"), "hmdb51")[1], counts)


@pytest.mark.parametrize(("header", "rows"), [(("52", "3"), 51), (("51", "3"), 50), (("51", "4"), 51)])
def test_a_header_that_says_other_sizes_is_refused(tmp_path, header, rows):
    write(tmp_path / "whole.txt", header, mark=" ")
    lines = (tmp_path / "whole.txt").read_text().splitlines(keepends=True)
    (tmp_path / "cut.txt").write_text("".join(lines[: rows + 1]))
    says = f"says {header[0]} classes with {header[1]} values, and it has {rows} with 3"
    with pytest.raises(ZslbenchError, match=says):
        import_semantics("x", tmp_path / "cut.txt", dataset="hmdb51")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", [".csv", ".txt", ".npz", ".json"])
def test_a_value_beyond_float32_is_refused_without_a_warning(tmp_path, suffix):
    dataset = get_dataset("olympicsports16")
    rows = np.random.default_rng(0).normal(size=(16, 3))
    rows[3, 1] = 1e39
    path = tmp_path / f"v{suffix}"
    if suffix == ".npz":
        np.savez(path, names=np.array(dataset.classes), vectors=rows)
    elif suffix == ".json":
        path.write_text(json.dumps({name: row.tolist() for name, row in zip(dataset.classes, rows, strict=True)}))
    else:
        mark = "," if suffix == ".csv" else " "
        lines = [mark.join([name, *map(str, row)]) for name, row in zip(dataset.classes, rows, strict=True)]
        path.write_text("\n".join(["class,a,b,c"] * (suffix == ".csv") + lines))
    with pytest.raises(
        ZslbenchError, match=f"class '{dataset.classes[3]}' has NaN or infinite values, or ones above 3"
    ):
        import_semantics("v", path, dataset=dataset.name)
