"""Class names as other files spell them: one resolver, and a table of names with its source per dataset."""

import json

import pytest

import zslbench_datasets
from zslbench import registry
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.class_lists import read_class_list, read_class_names
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError

DATASETS = registry.DATASETS.names()
TABLE = json.loads((zslbench_datasets.DATA / "class_names.json").read_text(encoding="utf-8"))

SPELT = [
    # UCF101: classInd.txt, its folders and ids, label files of CLIP, mmaction2 and E2E, MATLAB's padding
    ("ucf101", "1 ApplyEyeMakeup", "ApplyEyeMakeup"),
    ("ucf101", "001.ApplyEyeMakeup", "ApplyEyeMakeup"),
    ("ucf101", "0,Apply Eye Makeup", "ApplyEyeMakeup"),
    ("ucf101", "12: apply eye makeup", "ApplyEyeMakeup"),
    ("ucf101", "Apply_Eye_Makeup", "ApplyEyeMakeup"),
    ("ucf101", "apply-eye-makeup", "ApplyEyeMakeup"),
    ("ucf101", "applyeyemakeup", "ApplyEyeMakeup"),
    ("ucf101", "'apply eye makeup' ", "ApplyEyeMakeup"),
    ("ucf101", "HandStandPushups", "HandstandPushups"),
    ("ucf101", "Hand Stand Pushups", "HandstandPushups"),
    ("ucf101", "handstand_pushups", "HandstandPushups"),
    ("ucf101", "yo yo", "YoYo"),
    ("ucf101", "weight lift", "CleanAndJerk"),
    ("ucf101", "Skyjet", "Skijet"),
    # HMDB51: folders, and the names in its paper
    ("hmdb51", "brush_hair", "brush_hair"),
    ("hmdb51", "BrushHair", "brush_hair"),
    ("hmdb51", "Pull Up", "pullup"),
    ("hmdb51", "sit-up", "situp"),
    ("hmdb51", "fall on the floor", "fall_floor"),
    ("hmdb51", "backhand flip", "flic_flac"),
    ("hmdb51", "sword_fight", "sword"),
    ("hmdb51", "swing baseball bat", "swing_baseball"),
    ("olympicsports16", "vault", "gymnastic_vault"),
    # Kinetics: CSV with quotation marks, folders, label files that lose punctuation or write it as escapes
    ("kinetics400", '"playing guitar"', "playing guitar"),
    ("kinetics400", "playing_guitar", "playing guitar"),
    ("kinetics400", "passing_American_football_in_game", "passing American football (in game)"),
    ("kinetics400", "passing_American_football_-not_in_game-", "passing American football (not in game)"),
    ("kinetics400", "passing american football (not in game)", "passing American football (not in game)"),
    ("kinetics400", "massaging persons head", "massaging person's head"),
    ("kinetics400", "massaging_person_s_head", "massaging person's head"),
    ("kinetics400", "massaging person’s head", "massaging person's head"),
    ("kinetics400", "massaging person&#39;s head", "massaging person's head"),
    ("kinetics400", "massaging%20person%27s%20head", "massaging person's head"),
    ("kinetics400", "massaging person head", "massaging person's head"),
    ("kinetics400", "hurling", "hurling (sport)"),
    ("kinetics400", "using remote controller", "using remote controller (not gaming)"),
    # one class of two releases, under two names
    ("kinetics400", "dyeing hair", "dying hair"),
    ("kinetics400", "tying necktie", "tying tie"),
    ("kinetics600", "dying hair", "dyeing hair"),
    ("kinetics600", "hugging", "hugging (not baby)"),
    ("kinetics600", "passing American football (not in game)", "passing american football (not in game)"),
    ("kinetics700", "balloon blowing", "inflating balloons"),
    ("kinetics700", "throwing ball", "throwing ball (not baseball or American football)"),
]


@pytest.mark.parametrize(("dataset", "spelt", "name"), SPELT)
def test_released_files_spell_classes_in_many_ways(dataset, spelt, name):
    assert get_dataset(dataset).resolve_class(spelt) == name


@pytest.mark.parametrize(
    ("dataset", "spelt", "readings"),
    [
        (
            "kinetics400",
            "passing American football",
            "passing American football (in game) or passing American football (not in game)",
        ),
        ("kinetics400", "skiing", "skiing (not slalom or crosscountry) or skiing crosscountry or skiing slalom"),
        ("kinetics600", "curling", "curling (sport) or curling hair"),
        ("kinetics700", "picking fruit", "picking apples or picking blueberries"),
    ],
)
def test_a_name_that_can_mean_two_classes_is_refused_with_both(dataset, spelt, readings):
    found = get_dataset(dataset)
    assert found.find_class(spelt) is None
    with pytest.raises(ZslbenchError, match=r"It can mean ") as caught:
        found.resolve_class(spelt)
    assert readings in str(caught.value)


@pytest.mark.parametrize("spelt", ["", "7", "12 ", "apply", "apply eye makeup on", "()", "%", "play guitar badly"])
def test_other_text_is_no_class(spelt):
    for name in DATASETS:
        assert get_dataset(name).find_class(spelt) is None


def test_the_number_before_a_name_is_no_part_of_a_class_that_begins_with_one():
    toy = Dataset("toy", "Toy", ("10m dive", "dive", "3 dive"), phrases={"plain": {}})
    assert [toy.resolve_class(name) for name in ("10m dive", "10m_dive", "4 dive", "3 dive", "3_dive")] == [
        "10m dive", "10m dive", "dive", "3 dive", "3 dive",
    ]  # fmt: skip


def test_every_table_of_names_has_a_source_and_is_about_classes():
    assert set(TABLE) <= set(DATASETS)
    for dataset, tables in TABLE.items():
        found = get_dataset(dataset)
        for table in tables:
            assert table["source"]
            for name, classes in table["names"].items():
                assert set(classes) <= set(found.classes)
                assert found.find_class(name) == (classes[0] if len(classes) == 1 else None)


def test_class_lists_say_both_readings(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("abseiling\nskiing\n")
    with pytest.raises(ZslbenchError, match="can mean skiing"):
        read_class_list(get_dataset("kinetics400"), path)


def test_features_say_both_readings(zslbench, tmp_path):
    path = tmp_path / "v.csv"
    path.write_text("video,class\na,abseiling\nb,skiing\n")
    (tmp_path / "f.npy").write_bytes(b"")
    code, _, err = zslbench(
        "features", "import", "kinetics400", "x", "--features", tmp_path / "f.npy", "--videos", path,
        "--extractor", "x",
    )  # fmt: skip
    assert code == 2
    assert "'skiing' is no class of kinetics400, it can mean skiing (not" in err


@pytest.mark.parametrize(
    "content", ["[1, 2]", '["1", "2"]', '{"0": 1, "1": 2}', '{"0": ["a"], "1": {"b": 2}}', '["a", null]']
)
def test_what_is_no_text_names_no_class(tmp_path, content):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(ZslbenchError, match="no class|no list of classes"):
        read_class_names(tmp_path / "labels.json")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.txt", "wave 0\nrun 1\nrock climbing 2\n"),
        ("l.txt", "# classes\n0: 'wave',\n1: 'run',\n2: 'rock climbing',\n"),
        ("l.csv", "id,name,count\n0,wave,7\n1,run,9\n2,rock climbing,7\n"),
        ("l.csv", "Unnamed: 0,name,id\n2,run,1\n1,rock climbing,2\n0,wave,0\n"),
        ("l.csv", ",label,id\n0,rock climbing,2\n1,wave,0\n2,run,1\n"),
        ("l.csv", "id;name\n0;wave\n1;run\n2;rock climbing\n"),
        ("l.csv", "id,name\n0.0,wave\n1.0,run\n2.0,rock climbing\n"),
        ("l.json", '[{"id": 2, "name": "rock climbing"}, {"id": 0, "name": "wave"}, {"id": 1, "name": "run"}]'),
        ("l.json", '{"wave": "0", "\\"rock climbing\\"": "2", "run": "1"}'),
    ],
)
def test_class_lists_are_read_by_their_numbers(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    found = read_class_names(tmp_path / name)
    assert (found.names, found.first) == (("wave", "run", "rock climbing"), 0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("0,wave,3\n1,run,4\n", "line 1, has 2 numbers"),
        ("id,number,name\n0,1,wave\n1,0,run\n", "has id, number; keep"),
        ("name,class\nwave,hand\nrun,legs\n", "has name, class; keep"),
    ],
)
def test_class_lists_with_two_numbers_or_names_are_refused(tmp_path, content, sentence):
    (tmp_path / "l.csv").write_text(content)
    with pytest.raises(ZslbenchError, match=sentence):
        read_class_names(tmp_path / "l.csv")


def test_names_that_end_in_numbers_stay_names(tmp_path):
    (tmp_path / "l.txt").write_text("exercise 1\nexercise 2\n")
    assert read_class_names(tmp_path / "l.txt").names == ("exercise 1", "exercise 2")
