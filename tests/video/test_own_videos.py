"""The whole path of own videos, as a user types it: from folders with awkward names to a leaderboard."""

import csv
import re
import shlex

import pytest
from videos_made import write_video

from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import feature_path
from zslbench.semantics.class_vectors import open_semantics

CLASSES = ["walking_dog", "ApplyEyeMakeup", "sit to stand", "stand to sit", "wlaking", "ridingahorse", "跑步", "Café 2"]
SMALL = ["--backbone", "motion", "--set", "backbone.size=32", "--name", "motion"]


def words_commands(text):
    """Return the arguments of the commands that give classes other words, as they are printed."""
    found = re.findall(r"zslbench (datasets words \S+ .*?)(?: \(or under|$)", text, re.MULTILINE)
    return [shlex.split(line) for line in found]


@pytest.fixture
def videos(tmp_path):
    """Three videos of each class, an empty folder, a file that is no video and one that stands in no class folder."""
    folder = tmp_path / "my own videos"
    for i, name in enumerate(CLASSES):
        for j in range(3):
            write_video(folder / name / f"clip {j} é.mp4", 16 + 2 * i)
    (folder / "nothing here").mkdir()
    (folder / "walking_dog" / "broken.mp4").write_bytes(b"no video")
    (folder / "alone.mp4").write_bytes(b"")
    return folder


@pytest.mark.slow
def test_own_videos_lead_to_a_leaderboard_by_the_commands_that_are_printed(zslbench, videos, tmp_path):
    code, out, err = zslbench("datasets", "add", "mine", "--videos", videos)
    assert (code, err) == (0, "")
    assert "Added mine: 8 classes, 25 videos." in out
    assert "note: 1 folder without videos: nothing here" in out
    assert "note: 1 video in no class folder: alone.mp4" in out
    assert "minilm has no vector of 3 of 8 classes (ridingahorse, wlaking, 跑步)" in out
    meant, blank, apart = words_commands(out)
    extract = shlex.split(out.splitlines()[-1].removeprefix("Next: zslbench "))
    assert extract[:5] == ["extract", "--dataset", "mine", "--videos", str(videos)]

    assert zslbench(*meant)[0] == 0
    code, out, _ = zslbench(*[word.replace("...", "running") for word in blank])
    assert (code, "no vector" in out) == (0, False)
    code, out, _ = zslbench(*apart)
    assert (code, "warning" in out) == (0, False)

    code, out, err = zslbench(*extract[:5], *SMALL)
    assert code == 0, err
    assert "class vectors" not in err  # what would stop the run is gone
    assert "mine@motion: 24 of 25 videos" in out
    with (feature_path("mine", "motion") / "failures.csv").open(newline="", encoding="utf-8") as stream:
        ((video, reason),) = list(csv.reader(stream))[1:]
    assert (video, "cannot be opened as a video" in reason) == ("broken", True)
    assert set(open_features(get_dataset("mine"), "motion").covered) == set(CLASSES)

    run = ["run", "--method", "ridge", "--method", "pooled-krr", "--dataset", "mine", "--features", "motion"]
    results = ["--results", tmp_path / "runs"]
    code, out, err = zslbench(*run, "--splits", "2", "--no-track", *results)
    assert code == 0, err
    assert "pooled from words" in err
    assert {record.cell.label for record in Store(tmp_path / "runs").records()} == {"ridge", "pooled-krr"}
    code, board, _ = zslbench("leaderboard", *results)
    assert code == 0
    assert "mine@motion, protocol zsl, splits random-50/50, class vectors minilm" in board
    assert "minilm of mine: 4 of 8 classes pooled from words" in board


@pytest.mark.slow
def test_a_run_that_the_printed_commands_were_not_given_for_is_refused_with_them(zslbench, videos, tmp_path):
    zslbench("datasets", "add", "mine", "--videos", videos)
    code, _, err = zslbench("extract", "--dataset", "mine", "--videos", videos, *SMALL)
    assert code == 0
    assert "'zslbench run' does: minilm has no vector of 3 of 8 mine classes" in err
    run = ["run", "--method", "ridge", "--dataset", "mine", "--features", "motion", "--results", tmp_path / "runs"]
    code, _, err = zslbench(*run)
    assert code == 2
    assert "'zslbench datasets words mine' shows why and what to do" in err
    assert zslbench("datasets", "words", "mine", "wlaking=walk", "ridingahorse=ride horse", "跑步=run")[0] == 0
    code, _, err = zslbench(*run)
    assert code == 2
    assert "sit to stand and stand to sit of mine equal vectors" in err
    (apart,) = words_commands(err)
    assert zslbench(*apart)[0] == 0
    assert zslbench(*run, "--splits", "1", "--no-track")[0] == 0  # the features were kept


@pytest.mark.real
@pytest.mark.slow
def test_the_clips_of_utd_mhad_need_one_command_between_add_and_run(shared_data, zslbench, tmp_path):
    folder = shared_data / "utd-mhad" / "clips"
    if not folder.is_dir():
        pytest.skip("no clips of utd-mhad in the real data")
    code, out, _ = zslbench("datasets", "add", "mhad", "--videos", folder)
    assert code == 0
    assert "note: 23 of 27 classes pooled from words" in out
    assert "no vector" not in out
    *_, apart = words_commands(out)
    assert apart == ["datasets", "words", "mhad", "stand_to_sit=sit"]
    assert zslbench(*apart)[0] == 0
    assert len(open_semantics("minilm", get_dataset("mhad"))) == 27
    code, _, err = zslbench("extract", "--dataset", "mhad", "--videos", folder, *SMALL, "--set", "sampler.n_slots=2")
    assert code == 0, err
    run = ["run", "--method", "ridge", "--method", "pooled-krr", "--dataset", "mhad", "--features", "motion"]
    code, out, err = zslbench(*run, "--splits", "2", "--no-track", "--results", tmp_path / "runs")
    assert code == 0, err
    assert "minilm of mhad: 22 of 27 classes pooled from words" in out
