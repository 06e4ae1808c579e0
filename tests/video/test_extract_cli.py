"""``zslbench extract`` and ``zslbench show``: what they refuse, what they draw."""

import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tiny import make_features, plan
from videos_made import write_video
from videos_rendered import MOVES, make_videos

from zslbench.cells.store import Store
from zslbench.run.engine import Watcher, run_inline
from zslbench.run.queue import CellQueue
from zslbench.tables.progress import progress


def test_the_backbones_are_listed(zslbench):
    code, out, _ = zslbench("extract", "--list-backbones")
    assert code == 0
    assert {"motion", "c3d"} <= {line.split()[0] for line in out.splitlines()[2:]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([], "give --dataset, as in: zslbench extract"),
        (["--dataset", "hmdb51", "--videos", "."], "give --model or --backbone"),
        (["--dataset", "hmdb51", "--videos", "nowhere", "--backbone", "motion"], "no folder nowhere"),
        (["--dataset", "hmdb51", "--videos", ".", "--backbone", "moton"], "Did you mean motion"),
        (["--dataset", "hmdb51", "--videos", ".", "--backbone", "c3d"], "c3d needs --weights"),
        (
            ["--dataset", "hmdb51", "--videos", ".", "--backbone", "motion", "--set", "size=3"],
            "--set 'size=3' is not understood; write backbone.PARAMETER=VALUE or sampler.PARAMETER=VALUE.",
        ),
    ],
)
def test_a_wrong_command_is_one_sentence(zslbench, line, words):
    code, _, err = zslbench("extract", *line)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1


SMALL = ("--backbone", "motion", "--set", "backbone.size=32")


def test_what_weights_were_trained_on_can_be_named_and_be_unknown(zslbench, mine):
    line = ["extract", "--dataset", "mine", "--videos", mine, *SMALL]
    code, _, err = zslbench(*line, "--name", "m", "--trained-on", "kinetics400", "--trained-on", "unknown")
    assert code == 0, err
    trained = "trained on kinetics400, unknown; overlap with unseen classes unknown (W3)"
    assert trained in " ".join(zslbench("features", "show", "mine", "m")[1].split())
    code, _, err = zslbench(*line, "--trained-on", "ucf101", "--set", "backbone.trained_on=ucf101")
    assert (code, "give either --trained-on or --set backbone.trained_on" in err) == (2, True)


@pytest.fixture
def mine(tmp_path, zslbench):
    """A dataset of two classes, one of whose videos is empty."""
    folder = tmp_path / "mine"
    write_video(folder / "jump" / "jump_0.mp4", 12)
    (folder / "walk").mkdir()
    (folder / "walk" / "walk_0.mp4").touch()
    assert zslbench("datasets", "add", "mine", "--videos", folder)[0] == 0
    return folder


def test_what_failed_is_extracted_once_it_is_mended(zslbench, mine):
    line = ["extract", "--dataset", "mine", "--videos", mine, *SMALL]
    code, out, err = zslbench(*line)
    assert code == 0, err
    assert "mine@motion: 1 of 2 videos, features" in out
    write_video(mine / "walk" / "walk_0.mp4", 12)
    code, _, err = zslbench(*line)
    assert (code, "use --retry-failed to extract what is missing" in err) == (2, True)
    code, out, err = zslbench(*line, "--retry-failed")
    assert code == 0, err
    assert "mine@motion: 2 of 2 videos (1 from an earlier extraction), features" in out


def test_parameters_are_set_as_the_page_on_backbones_says(zslbench, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "backbones.md").read_text()
    named = [line.split(".")[0] for line in re.findall(r"--set ([^`\s]+)", page)]
    assert set(named) == {"backbone", "c3d"}
    write_video(tmp_path / "wave" / "w.mp4", 12)
    torch.save({"fc8.weight": torch.zeros(101, 4096)}, tmp_path / "c3d.pth")
    line = ["extract", "--dataset", "hmdb51", "--videos", tmp_path, "--backbone", "c3d", "--weights"]
    line += [tmp_path / "c3d.pth"]
    code, _, err = zslbench(*line)
    assert (code, "101 classes" in err) == (2, True)
    advice = re.search(r"(?<=--set )[^ ;]+(?=[.;])", err)[0].replace("NAME", "ucf101")
    code, _, err = zslbench(*line, "--set", advice)
    assert (code, "c3d.pth lacks" in err) == (2, True)  # it is taken; the weights are no C3D


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "grey.mp4", 40)


def test_the_sheet_shows_frames_of_the_video(zslbench, video, tmp_path):
    sheet = tmp_path / "sheet.png"
    code, _, err = zslbench("show", video, "--out", sheet, "--sampler", "whole", "--set", "sampler.clip_len=20")
    assert code == 0, err
    image = matplotlib.image.imread(sheet)[..., :3]
    for grey in (20, 4 * 19 + 20, 4 * 39 + 20):  # the first and last frames of both clips, as write_video() paints them
        near = (np.abs(image - grey / 255) < 0.012).all(axis=2)
        assert near.sum() > 500


def test_the_time_line_begins_with_the_video(zslbench, video, tmp_path, monkeypatch):
    drawn, savefig = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, out: (drawn.append(figure), savefig(figure, out)))
    line = ["show", video, "--out", tmp_path / "a.png", "--sampler", "segments", "--set", "sampler.n_segments=2"]
    code, _, err = zslbench(*line, "--set", "sampler.frames_per_segment=4")
    assert code == 0, err
    line = drawn[0].axes[0]
    assert "seconds" in line.get_xlabel()
    assert line.get_xlim()[0] == 0
    assert min(bar.get_x() for bar in line.patches) > 0.2


def test_a_model_of_the_pca_of_extracted_features_shows_what_predict_tells(zslbench, tmp_path):
    moves, runs = tmp_path / "moves", tmp_path / "runs"
    make_videos(moves, per_class=2, moves=MOVES[:4])
    sampling = ["--sampler", "segments", "--set", "sampler.n_segments=3", "--set", "sampler.frames_per_segment=4"]
    run = ["run", "--method", "ridge", "--dataset", "moves", "--features", "small", "--family", "random-50/50"]
    for line in (
        ["datasets", "add", "moves", "--videos", moves],
        ["extract", "--dataset", "moves", "--videos", moves, *SMALL, *sampling],
        ["features", "transform", "moves", "motion", "--pca", 5, "--as", "small"],
        [*run, "--splits", "1", "--save-model", "--no-track", "--results", runs],
    ):
        code, _, err = zslbench(*line)
        assert code == 0, err
    (model,) = (runs / "models").iterdir()
    _, told, _ = zslbench("predict", model, "--videos", "jump_01", "--top", "4")
    pairs = re.findall(r"([a-z]+) (-?\d+\.\d{3})", told.splitlines()[2])
    assert len(pairs) == 4
    line = ["show", moves / "jump" / "jump_01.mp4", "--model", model, "--out", tmp_path / "a.png", "--top", "4"]
    for options in ([], [*SMALL, *sampling]):
        code, out, err = zslbench(*line, *options)
        assert code == 0, err
        assert [tuple(row.split()[1::-1]) for row in out.splitlines()[2:6]] == pairs
    assert zslbench("features", "remove", "moves", "small", "--yes")[0] == 0
    code, _, err = zslbench(*line)
    assert (code, "give --backbone and its options" in err) == (2, True)


def test_what_is_no_video_is_one_sentence(zslbench, tmp_path):
    (tmp_path / "a.mp4").touch()
    code, _, err = zslbench("show", tmp_path / "a.mp4", "--out", tmp_path / "a.png")
    assert (code, err) == (2, f"zslbench: {tmp_path / 'a.mp4'} is empty (0 bytes).\n")
    assert not (tmp_path / "a.png").exists()


def test_a_model_of_features_from_elsewhere_asks_for_the_backbone(zslbench, video, tmp_path):
    make_features(classes=None, per_class=4, dim=6)
    cells = plan(method="ridge", splits="1")
    run_inline(CellQueue(cells, Store(tmp_path / "runs", keep_models=True)), Watcher())
    line = ["show", video, "--model", cells[0].id, "--results", tmp_path / "runs", "--out", tmp_path / "a.png"]
    code, _, err = zslbench(*line)
    assert code == 2
    assert "give --backbone and its options" in err
    code, _, err = zslbench(*line, "--backbone", "motion")
    assert code == 2
    assert "motion gives 594 values, but the model was trained on 6" in err


def test_a_log_tells_the_time_left_from_the_first_finished_video_on(monkeypatch, capsys):
    now = [0.0]
    for clock in ("time.monotonic", "rich.console.monotonic"):
        monkeypatch.setattr(clock, lambda: now[0])
    with progress("extracting", "videos") as show:
        for done in range(100, 121):  # 100 are of an earlier extraction
            show(done, 200)
            now[0] += 20
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "extracting: 101 of 200 videos, 0:33:00 left"  # 99 videos, 20 s each
    assert lines[-1] == "extracting: 120 of 200 videos, 0:26:40 left"  # 80 videos, 20 s each


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_is_recorded_as_float32_where_it_is_not_native(monkeypatch, capsys, kind):
    from zslbench.cli import extract as cli

    options = {
        "backbone": "r2plus1d-18", "sampler": None, "batch": None, "weights": None, "weights_sha256": None,
        "device": "cpu", "precision": kind, "settings": ("backbone.random_weights=1",),
    }  # fmt: skip
    for native, used, said in ((True, kind, ""), (False, "float32", f"note: cpu is not known to have {kind}")):
        monkeypatch.setitem(cli._NATIVE, kind, lambda device, native=native: native)
        recipe = cli.recipe_of(options)
        assert recipe.params["precision"] == used
        assert f'"precision":"{used}"' in recipe.open_backbone().describe()
        assert capsys.readouterr().err.startswith(said)


def test_a_precision_for_a_backbone_without_one_is_refused(zslbench, tmp_path):
    (tmp_path / "videos").mkdir()
    args = ("--dataset", "hmdb51", "--videos", tmp_path / "videos", "--backbone", "motion", "--precision", "float16")
    code, _, err = zslbench("extract", *args)
    assert (code, err.strip()) == (2, "zslbench: motion computes in one precision only; leave out --precision.")
