"""Lists of unseen classes become families, and numbers without one meaning are refused."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.families.imported import SplitSource, read_families

HMDB51 = get_dataset("hmdb51")
NAMES = HMDB51.classes
CANONICAL = "canonical"
ZERO, ONE = [0, 7, 33], [8, 1, 34]  # the same classes, counted from 0 and from 1, in no order
PICKED = ("brush_hair", NAMES[7], NAMES[33])
OTHER = ("run", "walk")


def opened(*paths, dataset="hmdb51", class_list=None, first=None):
    source = SplitSource(tuple(paths), dataset, class_list=Path(class_list) if class_list else None, first=first)
    (family,), notes = read_families("mine", source)
    return family, notes


def unseen(family):
    return [split.unseen for split in family.splits]


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def npy(path, array, **options):
    np.save(path, array, **options)
    return path


def class_list(folder, first):
    return text(folder / "numbers.csv", "".join(f"{i},{name}\n" for i, name in enumerate(reversed(NAMES), first)))


@pytest.mark.parametrize(
    "content",
    ["run\nWalk\n", "\ufeffrun\r\nwalk\r\n", "# unseen\n'run'\n\nwalk", "38 run\n49 walk", "run,37\nwalk,48",
     "run, walk, climb stairs"],
)  # fmt: skip
def test_a_text_has_a_name_per_line_or_a_split_per_line(tmp_path, content):
    family, _ = opened(text(tmp_path / "split.txt", content))
    expected = ("climb_stairs", "run", "walk") if "climb" in content else OTHER
    assert unseen(family) == [expected]
    assert set(family.splits[0].seen) == set(NAMES) - set(expected)


@pytest.mark.parametrize(
    "content",
    [
        "class,split\n" + "".join(f"{name},{'unseen' if name in OTHER else 'seen'}\n" for name in NAMES),
        ",type,name\n" + "".join(f"{i},{'test' if n in OTHER else 'train'},{n}\n" for i, n in enumerate(NAMES)),
        "seen,unseen\nchew,run\nlaugh,walk\n" + "".join(f"{n},\n" for n in NAMES if n not in ("chew", "laugh", *OTHER)),
        "class\nrun\nwalk\n",
        "id,class\n38,run\n49,walk\n",
    ],
)  # fmt: skip
def test_a_csv_says_the_side_of_each_class_or_has_a_column_per_side(tmp_path, content):
    family, _ = opened(text(tmp_path / "mine.csv", content))
    assert [set(names) for names in unseen(family)] == [set(OTHER)]
    assert len(family.splits[0].seen) == 49


def test_a_csv_that_says_no_side_is_refused(tmp_path):
    path = text(tmp_path / "mine.csv", "class,x\nrun,1\nwalk,1\n")
    assert "needs a column of classes of hmdb51, and one that says 'seen' or 'unseen'" in refused(path)


def test_lines_of_several_classes_are_a_split_each(tmp_path):
    family, _ = opened(text(tmp_path / "splits.txt", "run,walk\nchew;clap\n[brush_hair, catch]\n'sit', 'sit up'\n"))
    assert unseen(family) == [("run", "walk"), ("chew", "clap"), ("brush_hair", "catch"), ("sit", "situp")]


def test_files_of_seen_and_unseen_classes_are_paired_and_sorted_by_their_numbers(tmp_path):
    for i in (1, 2, 10):
        text(tmp_path / f"split_{i}/unseen.txt", f"run\n{NAMES[i]}")
        text(tmp_path / f"split_{i}/seen.txt", "walk\nwave")
        text(tmp_path / f"split_{i}/val.txt", "sword")
    family, _ = opened(tmp_path)
    assert unseen(family) == [tuple(sorted(("run", NAMES[i]))) for i in (1, 2, 10)]
    assert {split.seen for split in family.splits} == {("walk", "wave")}
    assert {split.validation for split in family.splits} == {("sword",)}
    again, _ = opened(*sorted(tmp_path.rglob("*.txt")))
    assert again.digest == family.digest


def test_the_lists_of_xian_are_one_split_and_the_others_are_named(tmp_path):
    text(tmp_path / "allclasses.txt", "\n".join(NAMES))
    text(tmp_path / "testclasses.txt", "\n".join(PICKED))
    text(tmp_path / "trainvalclasses.txt", "\n".join(name for name in NAMES if name not in PICKED))
    text(tmp_path / "trainclasses1.txt", "run")
    text(tmp_path / "valclasses1.txt", "walk")
    family, notes = opened(tmp_path)
    assert unseen(family) == [tuple(sorted(PICKED))]
    assert len(family.splits[0].seen) == 48
    assert len([note for note in notes if "were not used" in note]) == 2


def test_only_seen_classes_leave_the_others_unseen(tmp_path):
    family, notes = opened(text(tmp_path / "train_classes.txt", "\n".join(NAMES[3:])))
    assert unseen(family) == [tuple(sorted(NAMES[:3]))]
    assert "in no list of seen ones" in notes[0]


@pytest.mark.parametrize(("numbers", "first"), [(ZERO, 0), ([*ONE[:2], 51], 1)])
def test_numbers_count_from_what_they_show(tmp_path, numbers, first):
    family, notes = opened(npy(tmp_path / "u.npy", np.array(numbers)), class_list=CANONICAL)
    assert unseen(family) == [tuple(sorted(NAMES[i - first] for i in numbers))]
    assert notes == [f"classes by the order of hmdb51: the lists number its 51 classes from {first}"]


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_that_may_count_from_0_or_1_need_a_word(tmp_path, first):
    path = npy(tmp_path / "u.npy", np.array(ONE))
    with pytest.raises(ZslbenchError, match=r"from 1 to 34, which may count .* from 0 or from 1; .*--first-number 0"):
        opened(path, class_list=class_list(tmp_path, 1))
    family, _ = opened(path, class_list=CANONICAL, first=first)
    assert unseen(family) == [tuple(sorted(NAMES[i - first] for i in ONE))]


def test_rows_of_an_array_are_splits_by_the_names_of_the_class_list(tmp_path):
    rows = np.random.default_rng(0).permuted(np.tile(np.arange(51), (4, 1)), axis=1)[:, :25]
    family, _ = opened(npy(tmp_path / "u.npy", rows), class_list=class_list(tmp_path, 0))
    assert [set(split.unseen) for split in family.splits] == [{NAMES[50 - i] for i in row} for row in rows]
    assert "as rows, not as columns" in refused(npy(tmp_path / "t.npy", rows.T), class_list=CANONICAL)


def refused(*paths, **options):
    with pytest.raises(ZslbenchError) as error:
        opened(*paths, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "held",
    [
        [["brush_hair", NAMES[7], NAMES[33]], ["run", "walk"]],
        {"split_1": list(PICKED), "split_2": list(OTHER)},
        {"1": {"unseen": list(PICKED), "seen": ["wave"]}, "2": {"unseen": list(OTHER), "seen": ["wave"]}},
        {"unseen": [list(PICKED), list(OTHER)], "seen": [["wave"], ["wave"]], "seed": 3},
        {"test": [list(PICKED), list(OTHER)], "train": [["wave"], ["wave"]]},
    ],
)
def test_lists_and_dicts_are_read_alike_in_json_and_pickles(tmp_path, held):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(held).encode())
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(held))
    np.save(tmp_path / "c.npy", np.array(held, dtype=object), allow_pickle=True)
    for file in ("a.json", "b.pkl", "c.npy"):
        family, _ = opened(tmp_path / file)
        assert unseen(family) == [tuple(sorted(PICKED)), OTHER]
        if "wave" in str(held):
            assert family.splits[0].seen == ("wave",)


def test_arrays_of_an_npz_are_the_sides(tmp_path):
    np.savez(tmp_path / "s.npz", seen_classes=np.array([5, 6]), unseen_classes=np.array(ZERO))
    family, _ = opened(tmp_path / "s.npz", class_list=CANONICAL)
    assert (family.splits[0].seen, family.splits[0].unseen) == (tuple(sorted(NAMES[5:7])), tuple(sorted(PICKED)))


def test_toml_with_a_byte_order_mark_is_a_family(zslbench, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b'\xef\xbb\xbfdataset = "hmdb51"\nunseen = [["run", "walk"]]\n')
    assert zslbench("splits", "import", "mine", path)[0] == 0
    assert unseen(HMDB51.family("mine")) == [OTHER]
    assert "leave out --dataset ucf101" in zslbench("splits", "import", "again", path, "--dataset", "ucf101")[2]


class _Evil:
    def __reduce__(self):
        return (print, ("no",))


@pytest.mark.parametrize(
    ("name", "content", "options", "sentence"),
    [
        ("u.txt", "run\nwlak", {}, "Did you mean walk"),
        ("u.txt", "run\nrun", {}, "run twice"),
        ("u.txt", "", {}, "has no classes"),
        ("u.txt", "1\n2", {}, "has numbers of classes; say what the numbers count with --class-list"),
        ("u.txt", "1\n52", {"class_list": CANONICAL}, "from 1 to 52, but the order of hmdb51 has 51 classes"),
        ("u.txt", "0\n5", {"class_list": CANONICAL, "first": 1}, "cannot count them from 1"),
        ("u.txt", "run", {"dataset": None}, "name it with --dataset"),
        ("u.docx", "run", {}, "no form of splits that is known"),
        ("p.pkl", pickle.dumps([_Evil()]), {}, "print"),
        ("m.pkl", pickle.dumps(np.ones(51, bool)), {}, "is a mask of the 51 classes"),
        ("z.pkl", pickle.dumps(np.arange(51) // 26), {}, "is a mask of the 51 classes"),
        ("f.pkl", pickle.dumps([0.5, 1.5]), {"class_list": CANONICAL}, "no name or number of a class"),
    ],
)
def test_what_has_no_single_meaning_is_refused(tmp_path, name, content, options, sentence):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert sentence in refused(path, **options)


def test_a_class_on_both_sides_and_two_lists_of_one_side_are_refused(tmp_path):
    text(tmp_path / "a/unseen.txt", "run\nwalk")
    text(tmp_path / "a/seen.txt", "run\nwave")
    assert "uses the classes ['run'] twice" in refused(tmp_path / "a")
    text(tmp_path / "b/unseen.txt", "run")
    text(tmp_path / "b/test.txt", "walk")
    assert "second list of the unseen classes" in refused(tmp_path / "b")


def test_options_of_other_kinds_are_refused(zslbench, tmp_path):
    path = text(tmp_path / "u.txt", "run\nwalk")
    code, _, err = zslbench("splits", "import", "m", path, "--dataset", "hmdb51", "--features", "x")
    assert (code, "--features has no meaning for .txt files" in err) == (2, True)
    assert zslbench("splits", "import", "m", path, "--dataset", "hmdb51")[0] == 0
    assert unseen(HMDB51.family("m")) == [OTHER]
