"""``zslbench datasets``: list, show, add and remove."""

import io
import subprocess
import sys

import pytest

from zslbench.datasets.catalog import get_dataset


@pytest.fixture
def videos(tmp_path):
    for name in (
        "ApplyLipstick/1.mp4",
        "ApplyLipstick/2.mp4",
        "brush_hair/1.avi",
        "Archery/a/x.gif",
        "Archery/read.me",
    ):
        (tmp_path / "v" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "v" / name).write_bytes(b"x")
    return tmp_path / "v"


def row_of(out, name):
    (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
    return line


def test_a_built_in_dataset_is_listed_and_shown(zslbench):
    code, out, _ = zslbench("datasets")
    assert code == 0
    assert "xu-50/50" in row_of(out, "ucf101")
    assert zslbench("datasets", "list")[1] == out
    code, out, _ = zslbench("datasets", "ucf101")
    assert code == 0
    assert out.startswith("ucf101: UCF101, 101 classes, 13,320 videos")
    assert "handstand pushups" in row_of(out, "HandstandPushups")


def test_class_folders_become_a_dataset_that_is_listed_as_yours(zslbench, videos):
    code, out, _ = zslbench("datasets", "add", "mine", "--videos", videos)
    assert code == 0
    assert "Added mine: 3 classes, 4 videos." in out
    assert "apply lipstick" in row_of(out, "ApplyLipstick")
    assert "note: 1 file ignored that are no videos (.me 1)" in out
    row = row_of(zslbench("datasets")[1], "mine")
    assert row.split() == ["mine", "mine", "3", "4", "random", "only", "(your", "dataset)", "minilm"]
    shown = zslbench("datasets", "mine")[1]
    assert "mine: mine, 3 classes, 4 videos" in shown
    assert "split families: random-50/50" in shown
    warning = "note: random-50/50 has one unseen class in 50 of 50 splits; in zsl every method recognises it"
    assert warning in out
    assert warning in shown
    code, _, err = zslbench("run", "--dataset", "mine", "--method", "random", "--family", "random-50/50")
    assert code == 2
    assert "one unseen class, which in zsl every method recognises; choose a --family" in err
    assert zslbench("splits", "mine")[0] == zslbench("splits")[0] == 0


def test_what_cannot_be_added_is_refused_in_a_sentence(zslbench, videos, tmp_path):
    for args, sentence in [
        (["ucf101", "--videos", videos], "ucf101 is already a dataset of a package"),
        (["mine"], "give either --videos DIR or --file TOML"),
        (["mine", "--videos", videos, "--file", "x.toml"], "give either"),
        (["mine", "--videos", tmp_path / "gone"], "there is no folder"),
        (["mine", "--file", tmp_path / "gone.toml"], "there is no"),
        (["My Own", "--videos", videos], "'My Own' cannot name a dataset"),
        (["mine", "--videos", videos / "brush_hair"], "has no class folders with videos"),
    ]:
        code, out, err = zslbench("datasets", "add", *args)
        assert (code, out) == (2, "")
        assert sentence in err
        assert err.count("\n") == 1


def test_a_dataset_is_replaced_and_removed_on_request_only(zslbench, videos, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert zslbench("datasets", "add", "mine", "--videos", videos)[0] == 0
    (tmp_path / "mine.toml").write_text('classes = ["run", "walk"]\ndisplay_name = "Mine"\n')
    code, _, err = zslbench("datasets", "add", "mine", "--file", tmp_path / "mine.toml")
    assert (code, "--replace" in err) == (2, True)
    assert zslbench("datasets", "add", "mine", "--file", tmp_path / "mine.toml", "--replace")[0] == 0
    assert zslbench("datasets", "mine")[1].startswith("mine: Mine, 2 classes\n")
    code, _, err = zslbench("datasets", "remove", "mine")
    assert (code, "add --yes if nobody can answer" in err) == (2, True)
    assert zslbench("datasets", "mine")[0] == 0
    code, out, _ = zslbench("datasets", "remove", "mine", "--yes")
    assert (code, out.startswith("Removed ")) == (0, True)
    code, _, err = zslbench("datasets", "mine")
    assert (code, "neither a dataset nor a verb" in err) == (2, True)
    assert zslbench("datasets", "remove", "hmdb51", "--yes")[0] == 2


def test_removing_tells_which_feature_sets_stay(zslbench, videos):
    assert zslbench("datasets", "add", "mine", "--videos", videos)[0] == 0
    assert zslbench("features", "simulate", "mine", "--videos-per-class", "2")[0] == 0
    out = zslbench("datasets", "remove", "mine", "--yes")[1]
    assert "its feature sets stay (simulated); 'zslbench features remove mine simulated' deletes one" in out
    assert zslbench("features", "remove", "mine", "simulated", "--yes")[0] == 0


def test_a_spoilt_file_is_told_and_the_rest_is_listed(zslbench, videos, data_root):
    assert zslbench("datasets", "add", "mine", "--videos", videos)[0] == 0
    (data_root / "datasets" / "mine.toml").write_text("x = [")
    code, out, _ = zslbench("datasets")
    assert code == 0
    assert row_of(out, "hmdb51")
    assert "left out: " in out
    assert "mine.toml cannot be read" in out


@pytest.mark.slow
def test_adding_and_listing_need_no_video_library(videos, tmp_path):
    blocked = "import sys; sys.modules['av'] = sys.modules['cv2'] = sys.modules['torch'] = None\n"
    code = blocked + "from zslbench.cli import main; main(sys.argv[1:])"
    for args in (["datasets", "add", "mine", "--videos", str(videos)], ["datasets"]):
        ran = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    assert "your dataset" in ran.stdout


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("classInd.txt", "2 Wave\n1 OpenDoor\n3 close_door\n"),
        ("labels.csv", "id,name\n0,OpenDoor\n1,Wave\n2,close_door\n"),
        ("names.txt", "OpenDoor\nWave\nclose_door\n"),
        ("classes.json", '["OpenDoor", "Wave", "close_door"]'),
        ("labels.json", '{"Wave": 1, "OpenDoor": 0, "close_door": 2}'),
    ],
)
def test_a_class_list_adds_a_dataset_in_the_order_of_its_numbers(zslbench, tmp_path, file, content):
    (tmp_path / file).write_text(content)
    code, out, _ = zslbench("datasets", "add", "mine", "--file", tmp_path / file)
    assert code == 0
    assert "Added mine: 3 classes" in out
    assert get_dataset("mine").classes == ("OpenDoor", "Wave", "close_door")
    assert get_dataset("mine").phrase("OpenDoor") == "open door"


def test_a_class_list_with_gaps_adds_nothing(zslbench, tmp_path):
    (tmp_path / "classInd.txt").write_text("1 OpenDoor\n4 Wave\n")
    code, _, err = zslbench("datasets", "add", "mine", "--file", tmp_path / "classInd.txt")
    assert code == 2
    assert "without a gap" in err
