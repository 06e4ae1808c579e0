"""The official lists as datasets distribute them: both forms, contradictions, and comparison with the shipped lists."""

import os
from pathlib import Path

import pytest

from zslbench.datasets.catalog import DatasetFile, dataset_path, get_dataset
from zslbench.datasets.distributed_lists import differences, read_distributed, store_lists
from zslbench.datasets.video_lists import known_lists, list_names, video_list
from zslbench.errors import ZslbenchError

MINE = DatasetFile(name="mine", classes=("run", "wave"))
UCF101 = {
    "classInd.txt": "1 run\n2 wave\n",
    "trainlist01.txt": "run/a.avi 1\nwave/c.avi 2\n",
    "testlist01.txt": "run/b.avi\nwave/d.avi\n",
    "trainlist02.txt": "run/b.avi 1\nwave/d.avi 2\n",
    "testlist02.txt": "run/a.avi\nwave/c.avi\n",
}
HMDB51 = {
    "run_test_split1.txt": "a.avi 1 \nb.avi 2 \ne.avi 0 \n",
    "wave_test_split1.txt": "c.avi 1 \nd.avi 2 \n",
    "run_test_split2.txt": "b.avi 1 \na.avi 2 \ne.avi 0 \n",
    "wave_test_split2.txt": "d.avi 1 \nc.avi 2 \n",
}
ABSENT = object()


@pytest.fixture
def write(tmp_path):
    def write(files, **changes):
        for name, text in (files | {name.replace("__", "."): text for name, text in changes.items()}).items():
            if text is not ABSENT:
                (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def official_files(name, folder):
    """Write the shipped lists in the form that the dataset distributes."""
    lists = known_lists(name)
    for number in (1, 2, 3):
        listed = lists.named(f"official-{number}")
        for side in ("train", "test"):
            if name == "ucf101":
                text = "".join(f"{lists.class_of[v]}/{v}.avi\n" for v in getattr(listed, side))
                (folder / f"{side}list{number:02}.txt").write_text(text)
        if name == "hmdb51":
            code = {"": 0, "train": 1, "test": 2}
            for class_name, videos in lists.videos.items():
                rows = zip(videos, listed.sides(videos), strict=True)
                text = "".join(f"{video}.avi {code[side]} \n" for video, side in rows)
                (folder / f"{class_name}_test_split{number}.txt").write_text(text)
    return folder


@pytest.mark.parametrize("files", [UCF101, HMDB51], ids=["UCF101", "HMDB51"])
def test_both_distributed_forms_give_the_same_lists(write, files):
    lists = read_distributed(MINE.dataset(), write(files))
    assert list(lists.lists) == ["official-1", "official-2"]
    first, second = (lists.named(f"official-{i}") for i in (1, 2))
    assert (first.train, first.test) == (second.test, second.train) == (("a", "c"), ("b", "d"))


@pytest.mark.parametrize(
    ("files", "changes", "sentence"),
    [
        (
            UCF101,
            {"testlist01__txt": "run/A.avi\nrun/b.avi\nwave/d.avi\n"},
            "as test and train (testlist01.txt, line 1",
        ),
        (UCF101, {"testlist01__txt": "run/b.avi\nrun/b.avi\nwave/d.avi\n"}, "lists b twice"),
        (
            UCF101,
            {"testlist01__txt": "run/b.avi\nwaves/d.avi\n"},
            "line 2, names 'waves', which is no class of mine. Did",
        ),
        (UCF101, {"testlist02__txt": ABSENT}, "list 2 in {folder} has no test videos of 2 of 2 classes (run, wave)"),
        (UCF101, {"testlist02__txt": ABSENT, "trainlist02__txt": ABSENT, "testlist03__txt": "run/a.avi"}, "division 2"),
        (
            UCF101,
            {"trainlist01__txt": "run/a.avi 2\nwave/c.avi 2\n"},
            "class number 2, which classInd.txt gives to wave",
        ),
        (UCF101, {"classInd__txt": "1 run\n2 jump\n"}, "line 2, names 'jump', which is no class of mine"),
        (HMDB51, {"run_test_split1__txt": "a.avi 1\nb.avi 3\n"}, "line 2, ends with '3' and not with 0, 1 or 2"),
        (HMDB51, {"wave_test_split1__txt": ABSENT}, "has no training videos of 1 of 2 classes (wave)"),
        (HMDB51, {"jump_test_split1__txt": "x.avi 1\n"}, "names 'jump', which is no class of mine"),
        (HMDB51, {"wave_test_split1__txt": "a.avi 1\nd.avi 2\n"}, "lists a as run and as wave"),
        ({"readme.txt": "none"}, {}, "has no official lists; give UCF101's folder"),
    ],
)
def test_a_wrong_folder_is_one_sentence_that_names_the_place(write, files, changes, sentence):
    folder = write(files, **changes)
    with pytest.raises(ZslbenchError) as caught:
        read_distributed(MINE.dataset(), folder)
    assert sentence.format(folder=folder) in str(caught.value)


@pytest.mark.parametrize("name", ["ucf101", "hmdb51"])
def test_files_that_are_written_from_the_shipped_lists_equal_them(tmp_path, name):
    given = read_distributed(get_dataset(name), official_files(name, tmp_path))
    assert differences(given, known_lists(name)) == []
    assert [given.named(f"official-{i}").digest for i in (1, 2, 3)] == [
        video_list(name, f"official-{i}").digest for i in (1, 2, 3)
    ]


def test_a_line_that_is_missing_or_on_the_other_side_is_named(tmp_path):
    folder = official_files("ucf101", tmp_path)
    test = folder / "testlist01.txt"
    test.write_text(test.read_text().replace("Archery/v_Archery_g01_c01.avi\n", ""))
    (said,) = differences(read_distributed(get_dataset("ucf101"), folder), known_lists("ucf101"))
    assert said == (
        "official-1 has 9,537 + 3,782 videos instead of 9,537 + 3,783, and 1 video on another side (v_Archery_g01_c01)"
    )
    for side in ("train", "test"):
        (folder / f"{side}list03.txt").unlink()
    said = differences(read_distributed(get_dataset("ucf101"), folder), known_lists("ucf101"))
    assert said[0] == "official-3 is not there"


def test_stored_lists_are_the_datasets_own_until_they_are_replaced(write):
    path = dataset_path("mine")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MINE.toml(), encoding="utf-8")
    dataset = get_dataset("mine")
    assert list_names("mine") == ()
    folder = write(UCF101)
    store_lists(dataset, read_distributed(dataset, folder))
    assert video_list("mine", "official-2").train == ("b", "d")
    write(UCF101, trainlist02__txt="run/b.avi\nwave/d.avi\nwave/e.avi\n")
    with pytest.raises(ZslbenchError, match="already has lists in .*; add --replace"):
        store_lists(dataset, read_distributed(dataset, folder))
    assert video_list("mine", "official-2").train == ("b", "d")
    store_lists(dataset, read_distributed(dataset, folder), replace=True)
    assert video_list("mine", "official-2").train == ("b", "d", "e")


def test_shipped_lists_cannot_be_replaced(tmp_path):
    lists = known_lists("hmdb51")
    with pytest.raises(ZslbenchError, match="zslbench ships the lists of hmdb51"):
        store_lists(get_dataset("hmdb51"), lists, replace=True)


SPLITS = Path(os.environ.get("ZSLBENCH_OFFICIAL_LISTS", "none"))


@pytest.mark.real
@pytest.mark.skipif(
    not SPLITS.is_dir(), reason="set ZSLBENCH_OFFICIAL_LISTS to a folder of ucf101_splits, hmdb51_splits"
)
@pytest.mark.parametrize("name", ["ucf101", "hmdb51"])
def test_the_distributed_files_equal_the_shipped_lists(name):
    given = read_distributed(get_dataset(name), SPLITS / f"{name}_splits")
    assert differences(given, known_lists(name)) == []
