"""Folders of videos: the datasets' own layouts and names, and everything that is odd told."""

import os

import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.video.folders import unique_names
from zslbench.video.videos import class_folders, find_videos

UCF101, HMDB51, KINETICS = "ucf101", "hmdb51", "kinetics400"
# Names as in the distribution of HMDB51.
HMDB51_FILES = [
    "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi",
    "draw_sword/BATTOJUTSU_III_draw_sword_f_cm_np1_ri_med_2.avi",
    "pick/#122_Cleaning_Up_The_Beach_In_Chiba__Japan_pick_f_nm_np1_ri_med_0.avi",
    "punch/(HQ)_Rugby_Fights_-_[1]_Smith;_Jones!_&_'Co'_punch_u_nm_np2_le_goo_1.avi",
    "climb_stairs/Torwarttraining_2_(_sterreich)_climb_stairs_f_cm_np1_le_bad_10.avi",
    "walk/20060723sfjffbartsinger_wave_walk_f_cm_np1_ba_med_0.avi",
]


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def find(dataset, root, **options):
    return find_videos(get_dataset(dataset), root, **options)


def facts(found):
    return {file.id: (file.class_name, file.group) for file in found.files}


def test_ucf101_classes_ids_and_source_groups(tmp_path):
    make(tmp_path, "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.avi", "YoYo/v_YoYo_g25_c05.avi")
    found = find(UCF101, tmp_path)
    assert facts(found) == {
        "v_ApplyEyeMakeup_g01_c02": ("ApplyEyeMakeup", "01"),
        "v_YoYo_g25_c05": ("YoYo", "25"),
    }
    assert found.problems == []


@pytest.mark.parametrize("folder", ["HandstandPushups", "HandStandPushups", "handstand_pushups"])
def test_handstand_pushups_are_found_in_either_spelling(tmp_path, folder):
    make(tmp_path, f"{folder}/v_HandStandPushups_g01_c01.avi")
    found = find(UCF101, tmp_path)
    assert facts(found) == {"v_HandStandPushups_g01_c01": ("HandstandPushups", "01")}
    assert found.problems == []


def test_hmdb51_names_with_special_characters_have_their_title_as_group(tmp_path):
    found = find(HMDB51, make(tmp_path, *HMDB51_FILES))
    assert found.problems == []
    assert facts(found) == {
        "April_09_brush_hair_u_nm_np1_ba_goo_0": ("brush_hair", "April_09"),
        "BATTOJUTSU_III_draw_sword_f_cm_np1_ri_med_2": ("draw_sword", "BATTOJUTSU_III"),
        "#122_Cleaning_Up_The_Beach_In_Chiba__Japan_pick_f_nm_np1_ri_med_0": (
            "pick",
            "#122_Cleaning_Up_The_Beach_In_Chiba__Japan",
        ),
        "(HQ)_Rugby_Fights_-_[1]_Smith;_Jones!_&_'Co'_punch_u_nm_np2_le_goo_1": (
            "punch",
            "(HQ)_Rugby_Fights_-_[1]_Smith;_Jones!_&_'Co'",
        ),
        "Torwarttraining_2_(_sterreich)_climb_stairs_f_cm_np1_le_bad_10": (
            "climb_stairs",
            "Torwarttraining_2_(_sterreich)",
        ),
        "20060723sfjffbartsinger_wave_walk_f_cm_np1_ba_med_0": ("walk", "20060723sfjffbartsinger_wave"),
    }


@pytest.mark.parametrize("above", ["hmdb51_org/{0}", "{0}/{0}", "{0}/disc_1", "a/b/{0}"])
def test_classes_may_lie_deeper_and_be_nested(tmp_path, above):
    names = [f"{above.format(os.path.dirname(name))}/{os.path.basename(name)}" for name in HMDB51_FILES]  # noqa: PTH119, PTH120
    found = find(HMDB51, make(tmp_path, *names))
    assert {file.class_name for file in found.files} == {name.partition("/")[0] for name in HMDB51_FILES}


def test_files_without_class_folders_are_found_by_their_names(tmp_path):
    make(tmp_path, "v_YoYo_g25_c05.avi", "v_HandStandPushups_g02_c01.avi")
    assert [file.class_name for file in find(UCF101, tmp_path).files] == ["HandstandPushups", "YoYo"]


def test_a_video_named_for_another_class_keeps_its_folders_and_is_told(tmp_path):
    found = find(UCF101, make(tmp_path, "Archery/v_YoYo_g25_c05.avi"))
    assert found.files[0].class_name == "Archery"
    assert found.problems == [
        "1 video named for another class than its folder's, which counts: v_YoYo_g25_c05 in Archery"
    ]


def test_kinetics_folders_tell_source_and_list(tmp_path):
    make(
        tmp_path,
        "train/air_drumming/--nQbRBEz2s_000104_000114.mp4",
        "val/passing American football (in game)/abcdefghijk_000010_000020.mkv",
    )
    drum, football = find(KINETICS, tmp_path).files
    assert (drum.class_name, drum.group, drum.official) == ("air drumming", "--nQbRBEz2s", "train")
    assert (football.class_name, football.official) == ("passing American football (in game)", "test")
    assert (drum.start, drum.end) == (None, None)


def test_a_class_called_train_is_no_official_list(tmp_path):
    make(tmp_path, "train/1.mp4", "walk/2.mp4", "test/train/3.mp4", "walk/test/4.mp4")
    mine = Dataset("mine", "Mine", ("train", "walk"), {"plain": {}})
    found = find_videos(mine, tmp_path).files
    assert [(file.class_name, file.official) for file in found] == [
        ("train", ""), ("walk", ""), ("train", "test"), ("walk", "test")
    ]  # fmt: skip


# --- Kinetics' annotations ---

HEADER = "label,youtube_id,time_start,time_end,split\n"


def annotate(path, *rows, header=HEADER):
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return path


def test_annotations_tell_class_part_and_list_of_files_by_id(tmp_path):
    videos = make(tmp_path / "v", "abcdefghijk_000010_000020.mp4", "sub/lmnopqrstuv.webm", "other.mp4")
    csv = annotate(
        tmp_path / "train.csv",
        "air drumming,abcdefghijk,10,20,train",
        "abseiling,lmnopqrstuv,3,13,validate",
        "abseiling,lmnopqrstuv,20.5,30.5,test",
        "archery,gone_______,0,10,train",
    )
    found = find(KINETICS, videos, annotations=csv)
    assert [(f.id, f.class_name, f.group, f.official, f.start, f.end) for f in found.files] == [
        ("abcdefghijk_000010_000020", "air drumming", "abcdefghijk", "train", None, None),
        ("lmnopqrstuv_000003_000013", "abseiling", "lmnopqrstuv", "test", 3.0, 13.0),
        ("lmnopqrstuv_000020_000030", "abseiling", "lmnopqrstuv", "test", 20.5, 30.5),
    ]
    names = ["abcdefghijk_000010_000020.mp4", "lmnopqrstuv.webm", "lmnopqrstuv.webm"]
    assert [file.path.name for file in found.files] == names
    assert found.problems == [
        "1 row of train.csv without a video: gone________000000_000010",
        "1 video that train.csv does not list: other",
    ]


def test_annotations_as_lists_mark_videos_in_class_folders(tmp_path):
    videos = make(tmp_path / "v", "air drumming/abcdefghijk_000010_000020.mp4", "abseiling/lmnopqrstuv.webm")
    make(tmp_path / "v", "archery/other.mp4")
    lists = make(tmp_path / "lists", "README")
    annotate(lists / "train.csv", "air drumming,abcdefghijk,10,20,train", "archery,gone_______,0,10,train")
    annotate(lists / "val.csv", "abseiling,lmnopqrstuv,3,13,val")
    found = find(KINETICS, videos, lists=lists)
    assert [(f.id, f.official) for f in found.files] == [
        ("abcdefghijk_000010_000020", "train"), ("lmnopqrstuv", "test"), ("other", ""),
    ]  # fmt: skip
    assert found.problems == [
        "1 video that is not in train.csv and val.csv: other",
        "1 row of train.csv and val.csv without a video: gone________000000_000010",
    ]
    assert [f.official for f in find(KINETICS, videos, lists=lists / "val.csv").files] == ["", "test", ""]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["abseilin,abcdefghijk,0,10,train"], "line 2, names 'abseilin'.*Did you mean abseiling"),
        (["abseiling,abcdefghijk,10,10,train"], "line 2, has the times '10' to '10'"),
        (["abseiling,abcdefghijk,x,10,train"], "has the times 'x'"),
        (["abseiling,abcdefghijk,0,10,train", "archery,abcdefghijk,0,10,train"], "more than once .*abcdefghijk at 0 s"),
    ],
)
def test_wrong_annotations_are_refused_by_line(tmp_path, rows, sentence):
    make(tmp_path / "v", "abcdefghijk.mp4")
    with pytest.raises(ZslbenchError, match=sentence):
        find(KINETICS, tmp_path / "v", annotations=annotate(tmp_path / "a.csv", *rows))


def test_annotations_of_another_form_are_refused(tmp_path):
    make(tmp_path / "v", "abcdefghijk.mp4")
    with pytest.raises(ZslbenchError, match="has the columns name, start; add the missing ones of label"):
        find(KINETICS, tmp_path / "v", annotations=annotate(tmp_path / "a.csv", "x,1", header="name,start\n"))
    with pytest.raises(NotFoundError, match=r"there is no .*gone\.csv"):
        find(KINETICS, tmp_path / "v", annotations=tmp_path / "gone.csv")


# --- official lists ---


def test_ucf101s_official_lists(tmp_path):
    names = [f"HandstandPushups/v_HandStandPushups_g0{i}_c01.avi" for i in (1, 2, 3)]
    make(tmp_path / "v", *names)
    lists = tmp_path / "ucfTrainTestlist"
    make(lists, "classInd.txt")
    (lists / "trainlist01.txt").write_text(f"{names[1]} 37\r\nYoYo/v_YoYo_g08_c01.avi 101\r\n")
    (lists / "testlist01.txt").write_text(f"{names[0]}\n")
    (lists / "trainlist02.txt").write_text(f"{names[0]} 37\n")
    (lists / "testlist02.txt").write_text(f"{names[1]}\n{names[2]}\n")
    found = find(UCF101, tmp_path / "v", lists=lists)
    assert [file.official for file in found.files] == ["test", "train", ""]
    assert found.problems == [
        "1 video that is not on the official list 1: v_HandStandPushups_g03_c01",
        "1 entry of the official list 1 without a video: v_yoyo_g08_c01 (YoYo)",
    ]
    second = find(UCF101, tmp_path / "v", lists=lists / "testlist02.txt")
    assert [file.official for file in second.files] == ["train", "test", "test"]
    assert second.problems == []


def test_hmdb51s_official_lists(tmp_path):
    make(tmp_path / "v", *HMDB51_FILES)
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    for i, name in enumerate(HMDB51_FILES):
        action, file = name.split("/")
        (lists / f"{action}_test_split1.txt").write_text(f"{file} {i % 3} \n")
        (lists / f"{action}_test_split2.txt").write_text(f"{file} 2 \n")
    found = find(HMDB51, tmp_path / "v", lists=lists)
    by_class = {file.class_name: file.official for file in found.files}
    sides = ["", "train", "test", "", "train", "test"]
    assert by_class == {name.split("/")[0]: side for name, side in zip(HMDB51_FILES, sides, strict=True)}
    assert found.problems == []
    second = find(HMDB51, tmp_path / "v", lists=lists / "pick_test_split2.txt")
    assert {file.official for file in second.files} == {"test"}


def test_lists_of_another_form_are_refused(tmp_path):
    make(tmp_path / "v", HMDB51_FILES[0])
    for path, sentence in [
        (tmp_path / "v", "has no lists of division 1; give UCF101's folder"),
        (make(tmp_path, "split.txt") / "split.txt", "is not a known list"),
        (tmp_path / "gone", "there is no"),
    ]:
        with pytest.raises(ZslbenchError, match=sentence):
            find(HMDB51, tmp_path / "v", lists=path)
    wrong = tmp_path / "brush_hair_test_split1.txt"
    wrong.write_text("a.avi 7\n")
    with pytest.raises(ZslbenchError, match="line 1, ends with '7'"):
        find(HMDB51, tmp_path / "v", lists=wrong)
    wrong.rename(tmp_path / "brush_hairs_test_split1.txt")
    with pytest.raises(ZslbenchError, match="names 'brush_hairs'.*Did you mean brush_hair"):
        find(HMDB51, tmp_path / "v", lists=tmp_path)


# --- ids ---


def ids(root, *names):
    return unique_names([root / name for name in names], root)


def test_videos_of_one_name_get_ids_that_tell_them_apart(tmp_path):
    assert ids(tmp_path, "a/1.mp4", "a/2.mp4") == ["1", "2"]
    assert ids(tmp_path, "a/1.mp4", "a/1.avi") == ["1.mp4", "1.avi"]
    assert ids(tmp_path, "a/1.mp4", "b/1.mp4") == ["a/1", "b/1"]
    assert ids(tmp_path, "a/x/1.mp4", "a/y/1.mp4") == ["x/1", "y/1"]
    assert ids(tmp_path, "a/x/1.mp4", "b/x/1.mp4") == ["a/x/1.mp4", "b/x/1.mp4"]
    assert ids(tmp_path, "a/1.mp4", "a/1.avi", "b/1.mp4", "b/2.mp4") == ["a/1", "1.avi", "b/1", "2"]
    assert len(set(ids(tmp_path, "a/1.mp4.avi", "a/1.mp4", "a/1.avi"))) == 3


def test_ids_do_not_depend_on_the_order_of_the_files(tmp_path):
    names = ["a/1.mp4", "b/1.mp4", "a/x/1.mp4", "a/1.avi", "c/1.gif", "c/2.gif"]
    expected = dict(zip(names, ids(tmp_path, *names), strict=True))
    assert dict(zip(names[::-1], ids(tmp_path, *names[::-1]), strict=True)) == expected
    assert len(set(expected.values())) == len(names)


def test_ids_are_text_that_any_file_can_hold(tmp_path):
    decomposed, bytes_ = "Cafe\u0301", os.fsdecode(b"caf\xe9")
    assert ids(tmp_path, f"a/{decomposed}.mp4", f"a/{bytes_}.mp4") == ["Caf\u00e9", "caf\\xe9"]


def test_names_that_differ_in_their_unicode_form_alone_get_a_number(tmp_path):
    composed, decomposed = "a/Caf\u00e9.mp4", "a/Cafe\u0301.mp4"
    expected = {decomposed: "a/Caf\u00e9.mp4", composed: "a/Caf\u00e9.mp4 (2)"}
    for names in ([composed, decomposed], [decomposed, composed]):
        assert dict(zip(names, ids(tmp_path, *names), strict=True)) == expected


# --- what else lies in folders ---


def test_everything_that_is_passed_over_is_counted_and_named(tmp_path):
    make(
        tmp_path,
        "Archery/1.mp4", "Archery/.hidden.mp4", "Archery/._1.mp4", "Archery/notes.txt", "Archery/Thumbs.db", "README",
        ".cache/2.mp4", "__MACOSX/3.mp4", "YoYo/yoyo.rar", "Archerie/4.mp4", "misc/x/5.MP4", "misc/x/6.mp4",
    )  # fmt: skip
    (tmp_path / "Bowling").mkdir()
    (tmp_path / "Archery" / "broken.mp4").symlink_to(tmp_path / "nowhere.mp4")
    found = find(UCF101, tmp_path)
    assert [file.id for file in found.files] == ["1"]
    (folders, *rest) = found.problems
    assert folders.startswith("2 folders are no class of ucf101 and left out: Archerie (1 video, did you mean Archery")
    assert "misc/x (2 videos" in folders
    assert rest == [
        "4 files ignored that are no videos (.db 1, .txt 1, no suffix 1, .rar 1)",
        "4 hidden files and folders ignored",
        "2 folders without videos: Bowling, YoYo",
        "1 link that leads nowhere: Archery/broken.mp4",
    ]


def test_links_are_followed_and_loops_end(tmp_path):
    make(tmp_path / "real", "x/1.mp4")
    root = make(tmp_path / "root", "Archery/2.mp4")
    (root / "YoYo").symlink_to(tmp_path / "real" / "x")
    (root / "Archery" / "again").symlink_to(root)
    (tmp_path / "real" / "x" / "up").symlink_to(tmp_path / "real" / "x")
    found = find(UCF101, root)
    assert [(file.id, file.class_name) for file in found.files] == [("1", "YoYo"), ("2", "Archery")]
    assert found.problems == ["2 links back to folders that they are in: Archery/again, YoYo/up"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    make(tmp_path, "Archery/1.mp4")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("Archery"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ZslbenchError, match=r"the folder .*Archery cannot be read \(Permission denied\)"):
        find(UCF101, tmp_path)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["Archery/archery.rar"], r"no videos \(1 file ignored that are no videos \(.rar 1\); 1 folder without"),
        (["open_door/1.mp4"], r"contains 1 video, but none of a class of ucf101: 1 folder is no class.*datasets add"),
        (["1.mp4"], r"no folder \(1 video\)"),
    ],
)
def test_a_folder_without_any_video_of_the_dataset_is_refused(tmp_path, names, sentence):
    with pytest.raises(ZslbenchError, match=sentence):
        find(UCF101, make(tmp_path, *names))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="there is no folder"):
        find(UCF101, tmp_path / "gone")


# --- class folders of a new dataset ---


def test_class_folders_are_the_outermost_ones_with_videos(tmp_path):
    make(tmp_path, "open door/1.mp4", "open door/b/2.mp4", "wave/x/3.gif", "loose.mp4", "notes/a.txt")
    counts, notes = class_folders(tmp_path)
    assert counts == {"open door": 2, "wave": 1}
    assert notes[0] == "1 video in no class folder: loose.mp4"
    assert "1 folder without videos: notes" in notes


def test_train_and_test_folders_are_no_classes(tmp_path):
    make(tmp_path, "train/wave/1.mp4", "val/wave/2.mp4", "test/jump/3.mp4")
    assert class_folders(tmp_path)[0] == {"jump": 1, "wave": 2}


def test_a_folder_without_class_folders_is_refused(tmp_path):
    with pytest.raises(ZslbenchError, match="has no class folders with videos"):
        class_folders(make(tmp_path, "1.mp4"))


@pytest.mark.real
def test_the_real_clips_are_one_video_a_class(shared_data):
    counts, notes = class_folders(shared_data / "clips")
    assert (len(counts), set(counts.values()), notes) == (8, {1}, [])
    mine = Dataset("mine", "Mine", tuple(counts), {"plain": {}})
    found = find_videos(mine, shared_data / "clips")
    assert {file.class_name: file.id for file in found.files}["arm_wrestling"] == "damaged_tail"
    assert {file.id: file.group for file in found.files}["v_ApplyEyeMakeup_g01_c01"] == "01"
    assert len(found.files) == 8
