"""Lists of videos as datasets and code bases have them, read instead of a CSV."""

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.video_lists import known_lists, video_list
from zslbench.errors import ZslbenchError
from zslbench.features._list_files import read_listed
from zslbench.features.catalog import open_features
from zslbench.features.importing import FeatureFiles, Provenance, import_features

UCF101, HMDB51, KINETICS = map(get_dataset, ("ucf101", "hmdb51", "kinetics400"))
OF_UCF101, OF_HMDB51 = known_lists("ucf101").class_of, known_lists("hmdb51").class_of


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def ucf101_files(folder, number):
    """Write the official files of a list and return its sides."""
    listed = video_list("ucf101", f"official-{number}")
    folder.mkdir(exist_ok=True)
    write(folder / "classInd.txt", *(f"{i} {name}" for i, name in enumerate(UCF101.classes, 1)))
    of = OF_UCF101
    train = [f"{of[v]}/{v}.avi {UCF101.label_of[of[v]] + 1}" for v in listed.train]
    write(folder / f"trainlist0{number}.txt", *train)
    write(folder / f"testlist0{number}.txt", *(f"{of[v]}/{v}.avi" for v in listed.test))
    return listed


def test_ucf101s_files_are_read_in_their_order_with_their_sides(tmp_path):
    listed = ucf101_files(tmp_path, 1)
    table = read_listed(UCF101, [tmp_path / "testlist01.txt", tmp_path / "trainlist01.txt"])
    assert table.ids == [*listed.test, *listed.train]
    assert table.official == ["test"] * 3783 + ["train"] * 9537
    assert table.classes == [OF_UCF101[video] for video in table.ids]
    assert table.groups[0] == "01"
    assert "13,320 videos in the order of testlist01.txt, then trainlist01.txt" in table.notes


def test_a_folder_of_three_lists_fills_three_official_columns(tmp_path):
    lists = [ucf101_files(tmp_path, number) for number in (1, 2, 3)]
    table = read_listed(UCF101, [tmp_path])
    assert len(table.ids) == 13320
    assert [table.official, *table.more_official.values()] == [listed.sides(table.ids) for listed in lists]


def test_hmdb51s_codes_are_training_test_and_neither(tmp_path):
    lists = {number: video_list("hmdb51", f"official-{number}") for number in (1, 2)}
    code = {"": 0, "train": 1, "test": 2}
    for number, listed in lists.items():
        for name, videos in known_lists("hmdb51").videos.items():
            sides = zip(videos, listed.sides(videos), strict=True)
            write(tmp_path / f"{name}_test_split{number}.txt", *(f"{v}.avi {code[side]} " for v, side in sides))
    table = read_listed(HMDB51, [tmp_path])
    assert table.official == lists[1].sides(table.ids)
    assert table.more_official == {2: lists[2].sides(table.ids)}
    assert dict(zip(table.ids, table.classes, strict=True)) == OF_HMDB51


def numbered(path, first, mark=" "):
    """Write a list of two videos of each class of UCF101 with its number."""
    videos = [video for of in known_lists("ucf101").videos.values() for video in of[:2]]
    return write(path, *(f"{v}.avi{mark}{UCF101.label_of[OF_UCF101[v]] + first}" for v in videos))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("mark", [" ", "\t", ","])
@pytest.mark.parametrize("names", ["classInd.txt", "labels.csv", "names.txt", "map.json"])
def test_the_first_number_is_told_from_the_lists(tmp_path, first, mark, names):
    lines = {
        "classInd.txt": [f"{i} {name}" for i, name in enumerate(UCF101.classes, 1)],
        "labels.csv": ["id,name", *(f"{i},{name}" for i, name in enumerate(UCF101.classes))],
        "names.txt": list(UCF101.classes),
        "map.json": ["{", ",\n".join(f'"{name}": {i}' for i, name in enumerate(UCF101.classes)), "}"],
    }
    class_list = write(tmp_path / names, *lines[names])
    table = read_listed(UCF101, [numbered(tmp_path / "list.txt", first, mark)], class_list=class_list)
    assert table.classes == [OF_UCF101[video] for video in table.ids]
    assert f"classes by {names}: the lists number its 101 classes from {first}" in table.notes


def test_without_a_class_list_the_ids_name_the_classes_or_the_list_is_refused(tmp_path):
    table = read_listed(UCF101, [numbered(tmp_path / "list.txt", 0)])
    assert table.classes == [OF_UCF101[video] for video in table.ids]
    with pytest.raises(ZslbenchError, match="nothing says which class of kinetics400 has the number 3.*--class-list"):
        read_listed(KINETICS, [write(tmp_path / "k.txt", "a.mp4 3", "b.mp4 0")])


def test_a_class_list_of_another_order_is_refused(tmp_path):
    names = write(tmp_path / "names.txt", *reversed(UCF101.classes))
    with pytest.raises(ZslbenchError, match="is not the class list of these lists"):
        read_listed(UCF101, [numbered(tmp_path / "list.txt", 0)], class_list=names)
    folders = write(tmp_path / "f.txt", "archery/a.mp4 0", "abseiling/b.mp4 1")
    names = write(tmp_path / "k.txt", *KINETICS.classes)
    with pytest.raises(ZslbenchError, match="the number 0 is abseiling in k.txt, but the folder is archery"):
        read_listed(KINETICS, [folders], class_list=names)


def test_numbers_that_may_count_from_0_or_1_are_refused(tmp_path):
    names = write(tmp_path / "names.txt", *KINETICS.classes)
    listed = write(tmp_path / "list.txt", "a.mp4 3", "b.mp4 7")
    with pytest.raises(ZslbenchError, match="from 0 or from 1"):
        read_listed(KINETICS, [listed], class_list=names)
    with pytest.raises(ZslbenchError, match="class numbers from 3 to 400, but names.txt has 400|from 3 to 401"):
        read_listed(KINETICS, [write(listed, "a.mp4 3", "b.mp4 401")], class_list=names)


KINETICS_CSV = (
    "label,youtube_id,time_start,time_end,split,is_cc",
    '"passing American football (in game)",--aaaaaaaaa,10,20,train,0',
    "archery,bbbbbbbbbbb,3,13,val,0",
)


def test_kinetics_csv_names_clips_by_their_times(tmp_path):
    table = read_listed(KINETICS, [write(tmp_path / "k.csv", *KINETICS_CSV)])
    assert table.ids == ["--aaaaaaaaa_000010_000020", "bbbbbbbbbbb_000003_000013"]
    assert table.classes == ["passing American football (in game)", "archery"]
    assert table.official == ["train", "test"]


@pytest.mark.parametrize(
    ("name", "lines", "ids"),
    [
        ("ucf_train_split_1_rawframes.txt", ["x/a 163 0", "x/b 100 1"], ["a", "b"]),  # mmaction
        ("train.csv", ["/data/some where/a.mp4 0", "/data/b.mp4 1"], ["a", "b"]),  # PySlowFast, with a space
        ("train.csv", ['"/data/one, two/a.mp4",0', "/data/b.mp4,1"], ["a", "b"]),
        ("train.csv", ["path,label", "/data/a.mp4,0", "/data/b.mp4,1"], ["a", "b"]),
        ("list.txt", ["abseiling/1.mp4 0", "air drumming/1.mp4 1"], ["abseiling/1", "air drumming/1"]),
        ("list.txt", ["a.mp4\tabseiling", "b.mp4\tair drumming"], ["a", "b"]),
        ("list.txt", ["abseiling/a.mp4 -1", "air_drumming/b.mp4 -1"], ["a", "b"]),  # the folder says it
    ],
)
def test_forms_of_lists(tmp_path, name, lines, ids):
    names = write(tmp_path / "names.txt", *KINETICS.classes)
    table = read_listed(KINETICS, [write(tmp_path / name, *lines)], class_list=names)
    assert table.ids == ids
    assert table.classes == ["abseiling", "air drumming"]


def test_two_sides_in_two_files_are_an_official_list_and_draws_are_none(tmp_path):
    names = write(tmp_path / "names.txt", *KINETICS.classes)
    files = [write(tmp_path / "k400_train.txt", "a.mp4 0", "b.mp4 1"), write(tmp_path / "k400_val.txt", "c.mp4 1")]
    assert read_listed(KINETICS, files, class_list=names).official == ["train", "train", "test"]
    assert read_listed(KINETICS, files[:1], class_list=names).official == ["", ""]
    draw = write(tmp_path / "train1_few_shot_2.txt", "a.mp4 0", "b.mp4 1")
    assert read_listed(KINETICS, [draw, files[1]], class_list=names).official == ["", "", ""]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["a.mp4 0", "a.mp4 0"], "a is twice on a list"),
        (["a.mp4 0", "a.mp4 1"], "a is abseiling .* and air drumming"),
        (["a.mp4 0", "b.mp4 -1"], "line 2: the label -1 stands for an unknown class"),
        (["a.mp4 0", "b.mp4"], "line 2: 'b.mp4' has no label"),
        (["a.mp4\tarchry", "b.mp4\tabseiling"], "'archry' is no class of kinetics400, did you mean archery"),
        ([""], "lists no videos"),
    ],
)
def test_wrong_lines_are_named(tmp_path, lines, sentence):
    names = write(tmp_path / "names.txt", *KINETICS.classes)
    with pytest.raises(ZslbenchError, match=sentence):
        read_listed(KINETICS, [write(tmp_path / "list.txt", *lines)], class_list=names)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["0,abseiling", "2,archery"], "does not number its 2 classes"),
        (["abseiling", "archry"], r"line 2: 'archry'\)\. Did you mean archery"),
        (["abseiling", "Abseiling"], "has abseiling twice"),
        (["0 abseiling", "archery"], "line 2, has no number"),
        ([""], "has no classes"),
        (["0", "1"], "has what names no class \\(line 1: '0', line 2: '1'\\)"),
    ],
)
def test_wrong_class_lists_are_named(tmp_path, lines, sentence):
    names = write(tmp_path / "names.txt", *lines)
    with pytest.raises(ZslbenchError, match=sentence):
        read_listed(KINETICS, [write(tmp_path / "list.txt", "a.mp4 0")], class_list=names)


def test_features_are_imported_with_the_lists_of_a_folder(tmp_path):
    ucf101_files(tmp_path / "lists", 1)
    np.save(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(13320, 4)).astype(np.float16))
    files = FeatureFiles(tmp_path / "f.npy", tmp_path / "lists")
    _, notes = import_features(UCF101, "x", files, Provenance("e", ("nothing",)))
    assert not any("name another class" in note for note in notes)
    features = open_features(UCF101, "x")
    assert features.has_official_lists
    assert features.official == video_list("ucf101", "official-1").sides(features.ids)
