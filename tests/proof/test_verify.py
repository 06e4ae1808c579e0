"""Every change of a stored cell is found; what only its writer can know is not."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from official import official_features
from tiny import make_features, plan

from zslbench.cells._sums import write_sums
from zslbench.cells.predictions import read_predictions
from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import NotFoundError
from zslbench.files import UNFINISHED
from zslbench.method import Report
from zslbench.proof.verify import verify
from zslbench.run.runner import run_cell

pytestmark = pytest.mark.versions


@pytest.fixture
def store(tmp_path):
    """Two cells with models and all scores, one of each protocol."""
    make_features()
    made = Store(tmp_path / "runs", keep_models=True, keep_scores="float16")
    for protocol in ("zsl", "gzsl"):
        (cell,) = plan(method="ridge", splits="1", protocol=protocol, set={"ridge": {"alpha": 1.0}})
        run_cell(cell, made, Report())
    return made


def folder_of(store, protocol):
    (found,) = [r.cell.id for r in store.records() if r.cell.protocol == protocol]
    return store.path(found)


def summed(folder):
    """Compute the checksums again, as somebody who edits a cell can."""
    (folder / "SHA256SUMS").unlink()
    write_sums(folder)


def edit(path, changes):
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *parts, key = name.split(".")
        inner = content
        for part in parts:
            inner = inner[part]
        inner[int(key) if isinstance(inner, list) else key] = value
    path.write_text(json.dumps(content))
    summed(path.parent)


def found_in(store, folder):
    return [f"{defect.kind}: {defect.what}" for defect in verify(store).defects if folder.name in defect.where]


def test_what_run_stores_is_verified_with_nothing_left_unchecked(store):
    found = verify(store)
    assert (found.defects, dict(found.unchecked)) == ([], {})
    assert (found.states, found.models) == ({"done": 2}, 2)


def test_any_flipped_bit_of_any_file_of_a_cell_is_found(store):
    folders = [folder_of(store, "zsl"), folder_of(store, "gzsl")]
    files = sorted(path for folder in folders for path in folder.iterdir() if path.stat().st_size)
    assert {path.name for path in files} >= {"SHA256SUMS", "scores.npy", "predictions.parquet", "environment.json"}

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(path=st.sampled_from(files), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def flip(path, place, bit):
        whole = path.read_bytes()
        content = bytearray(whole)
        content[int(place * len(content))] ^= 1 << bit
        path.write_bytes(content)
        try:
            assert found_in(store, path.parent)
        finally:
            path.write_bytes(whole)

    flip()
    assert verify(store).defects == []


METRICS = {
    "zsl": ["top1", "top1_per_class", "top5", "top5_per_class", "hubness", "chance", "majority"],
    "gzsl": ["S", "U", "H", "AUSUC", "hubness", "S_calibrated", "U_calibrated", "H_calibrated", "factor"],
}


@pytest.mark.parametrize("protocol", METRICS)
def test_an_edited_figure_is_found_although_its_checksum_is_right(store, protocol):
    path = folder_of(store, protocol) / "result.json"
    figures = json.loads(path.read_text())["metrics"]
    for name in METRICS[protocol]:
        edit(path, {"metrics": figures | {name: figures[name] + 1e-6}})
        assert any(name in what for what in found_in(store, path.parent)), name


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"present": 151}, "151 videos of the tested classes are present"),
        ({"expected": 1}, "1 videos are expected, but hmdb51 has "),
        ({"classes.names.0": "another"}, "another is no class of hmdb51"),
        ({"failure": {"type": "E", "message": "m"}}, "error.json and result.json have different errors"),
        ({"state": "killed"}, "it is killed but has figures"),
    ],
)
def test_other_edits_of_a_result_are_found(store, changes, reason):
    path = folder_of(store, "zsl") / "result.json"
    edit(path, changes)
    assert any(reason in what for what in found_in(store, path.parent))


def test_counts_and_figures_that_agree_with_each_other_but_not_with_the_predictions_are_found(store):
    path = folder_of(store, "zsl") / "result.json"
    counts = json.loads(path.read_text())["classes"]
    first = next(i for i, n in enumerate(counts["top5"]) if n < counts["scored"][i])
    five = [n + (i == first) for i, n in enumerate(counts["top5"])]
    shares = [n / of for n, of in zip(five, counts["scored"], strict=True)]
    figures = {"top5": sum(five) / sum(counts["scored"]), "top5_per_class": sum(shares) / len(shares)}
    edit(path, {"classes.top5": five} | {f"metrics.{name}": value for name, value in figures.items()})
    assert len(store.records()) == 2  # only the predictions show it
    top5, per_class, counted = found_in(store, path.parent)
    assert top5.startswith("disagrees: top5 is ")
    assert per_class.startswith("disagrees: top5_per_class is ")
    assert counted == "disagrees: the counts per class are not those of the predictions"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split_digest": "0" * 32}, "cell.json describes the cell "),
        ({"params.alpha": 2.0}, "cell.json describes the cell "),
        ({"split": 1}, "its split digest is not that of xu-50/50 #1"),
        ({"split": 999}, "its split digest is not that of xu-50/50 #999"),
        ({"split": -1}, "its split digest is not that of xu-50/50 #-1"),
        ({"family_digest": "0" * 32}, "the digest of xu-50/50 is not that of the built-in splits"),
        ({"family_size": 3}, "its numbers of splits are not those of xu-50/50"),
        ({"repeats": 3}, "its numbers of splits are not those of xu-50/50"),
        ({"budget": []}, "its budget is none, not class-vectors"),
        ({"reconstruction": True}, "its mark of a reconstruction is not that of the method"),
    ],
)
def test_edits_of_a_cell_are_found(store, changes, reason):
    path = folder_of(store, "zsl") / "cell.json"
    edit(path, changes)
    assert any(reason in what for what in found_in(store, path.parent))


def change(folder, **changes):
    """Replace parts of the predictions, and compute the checksums again."""
    path = folder / "predictions.parquet"
    found = read_predictions(path)
    ranked = {name: np.array(value) for name, value in changes.items() if hasattr(found.ranked, name)}
    other = {name: value for name, value in changes.items() if name not in ranked}
    made = replace(found, ranked=replace(found.ranked, **ranked), **other)
    pq.write_table(made.table(), path)
    summed(folder)
    return made


@pytest.mark.parametrize(
    "alter",
    [
        lambda p: {"labels": (p.ranked.labels + 1) % len(p.classes)},
        lambda p: {"labels": np.roll(p.ranked.labels, 1)},
        lambda p: {"best": p.ranked.best[:, ::-1]},
        lambda p: {"best": (p.ranked.best + 1) % len(p.classes)},
        lambda p: {"scores": p.ranked.scores[:, ::-1]},
        lambda p: {"best": np.repeat(p.ranked.best[:, :1], 5, axis=1)},
        lambda p: {"videos": p.videos[:1] * len(p.videos)},
        lambda p: {"videos": ("another", *p.videos[1:])},
        lambda p: {"classes": ("another", *p.classes[1:])},
        lambda p: {"best_seen": np.roll(p.ranked.best_seen, 1)},
        lambda p: {"best_seen": p.ranked.best_unseen},
        lambda p: {"seen_scores": p.ranked.seen_scores + 0.1},
        lambda p: {"seen_scores": np.full(len(p.videos), -9.0)},
        lambda p: {"best_unseen": np.roll(p.ranked.best_unseen, 1)},
        lambda p: {"unseen_scores": p.ranked.unseen_scores - 0.1},
        lambda p: {"factor": 0.0},
        lambda p: {"factor": None},
        lambda p: {"seen": np.roll(p.ranked.seen, 1)},
    ],
)
def test_edited_predictions_are_found_although_their_checksum_is_right(store, alter):
    folder = folder_of(store, "gzsl")
    (folder / "scores.npy").unlink()  # they would also show it
    change(folder, **alter(read_predictions(folder / "predictions.parquet")))
    assert found_in(store, folder)


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda s: s[:-1], r"scores.npy: it is \(\d+, 51\) float16"),
        (lambda s: s.astype(np.int8), "scores.npy: it is .* int8"),
        (lambda s: s[:, ::-1], "not those of the predictions"),
        (lambda s: np.where(s == s.min(axis=1, keepdims=True), np.float16(9), s), "not those of the predictions"),
        (lambda s: s * np.float16(np.nan), "a score is not finite"),
    ],
)
@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
def test_all_scores_that_contradict_the_predictions_are_found(store, alter, reason, protocol):
    folder = folder_of(store, protocol)
    np.save(folder / "scores.npy", alter(np.load(folder / "scores.npy")))
    summed(folder)
    (what,) = found_in(store, folder)
    reason = reason.replace("51", "25") if protocol == "zsl" else reason
    assert re.search(rf"^disagrees: .*({reason}|another class is better)", what)


@pytest.mark.parametrize(("old", "new"), [(b"'fortran_order'", b"(fortran_order'"), (b"NUMPY", b"NUMPi")])
def test_a_file_of_scores_that_numpy_cannot_parse_is_named(store, old, new):
    folder = folder_of(store, "zsl")
    content = (folder / "scores.npy").read_bytes()
    (folder / "scores.npy").write_bytes(content.replace(old, new))
    (what,) = found_in(store, folder)[:1]
    assert what == "unreadable: scores.npy does not match SHA256SUMS"
    summed(folder)
    assert found_in(store, folder)[0].startswith("disagrees: scores.npy: it cannot be read (")


@pytest.mark.slow
def test_a_list_of_training_videos_that_is_not_the_drawn_one_is_found(tmp_path):
    official_features(tmp_path / "raw", clips=1)
    made = Store(tmp_path / "few")
    few = {"dataset": "ucf101", "features": "official", "protocol": "few-shot"}
    (cell,) = plan(**few, method="nearest-class-mean", family="2-shot", splits="1")
    run_cell(cell, made, Report())
    folder = made.path(cell.id)
    assert found_in(made, folder) == []
    predictions = read_predictions(folder / "predictions.parquet")
    header, *rows = (folder / "training_videos.csv").read_text().splitlines()
    assert len(rows) == 2 * len(predictions.classes)
    name = rows[-1].partition(",")[2]
    for altered, *reasons in [
        (
            [header, *rows[:-2], rows[0], f"{predictions.videos[0]},Nothing"],
            "names a video twice",
            "1 videos are tested and in",
            "names classes that are not seen ones: Nothing",
        ),
        ([header, *rows[:-1], f"other,{name}"], "is not that of 2-shot #0"),
        (rows, "has not the columns video and class"),
    ]:
        (folder / "training_videos.csv").write_text("\n".join(altered) + "\n")
        summed(folder)
        found = found_in(made, folder)
        assert all(any(reason in what for what in found) for reason in reasons), (reasons, found)


def test_a_cell_without_predictions_is_not_proved(store):
    folder = folder_of(store, "zsl")
    (folder / "predictions.parquet").unlink()
    summed(folder)
    assert found_in(store, folder) == ["disagrees: there is no predictions.parquet, so no figure can be computed again"]


def test_who_forges_everything_is_found_only_where_the_feature_set_is(store, monkeypatch, tmp_path):
    """Two videos exchange their labels, so that one is right; all figures and checksums follow."""
    folder = folder_of(store, "zsl")
    (folder / "scores.npy").unlink()
    made = read_predictions(folder / "predictions.parquet")
    labels, best = made.ranked.labels.copy(), made.ranked.best[:, 0]
    one, other = next((i, j) for i in range(150) for j in range(150) if best[i] == labels[j] != labels[i])
    labels[[one, other]] = labels[[other, one]]
    forged = change(folder, labels=labels)
    counts = forged.counts().model_dump(mode="json")
    edit(folder / "result.json", {"metrics": forged.metrics(), "classes": counts})
    assert found_in(store, folder) == ["disagrees: its videos or their labels are not those of the feature set"]
    monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(tmp_path / "elsewhere"))
    found = verify(store)
    assert found.defects == []
    assert found.unchecked == {"the feature set hmdb51@tiny is not on this machine": 2}


def test_what_is_not_on_this_machine_is_named(store, monkeypatch):
    def unknown(name):
        raise NotFoundError(f"no dataset is called {name!r}.")

    monkeypatch.setattr("zslbench.proof._inputs.source_digest", lambda method: "another")
    monkeypatch.setattr("zslbench.proof._inputs.get_dataset", unknown)
    found = verify(store)
    assert found.defects == []
    assert found.unchecked == {
        "the method ridge of this version is not installed": 2,
        "the dataset hmdb51 is not on this machine": 2,
    }


def test_random_splits_of_the_covered_classes_are_checked_with_the_feature_set(tmp_path, monkeypatch):
    make_features(classes=get_dataset("hmdb51").classes[:20])
    (cell,) = plan(method="random", splits="1", family="random-50/50")
    store = Store(tmp_path / "runs")
    run_cell(cell, store, Report())
    assert (verify(store).defects, dict(verify(store).unchecked)) == ([], {})
    monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(tmp_path / "elsewhere"))
    assert verify(store).defects == []
    assert "the splits random-50/50 of hmdb51 are not on this machine" in verify(store).unchecked


def test_a_failed_cell_is_verified(tmp_path, monkeypatch):
    make_features()
    (cell,) = plan(method="ridge", splits="1")
    store = Store(tmp_path / "runs")
    monkeypatch.setattr("zslbench.run.runner.evaluate", lambda *a: 1 / 0)
    run_cell(cell, store, Report())
    assert (verify(store).defects, verify(store).states) == ([], {"failed": 1})
    edit(store.path(cell.id) / "error.json", {"message": "another"})
    assert found_in(store, store.path(cell.id)) == ["disagrees: error.json and result.json have different errors"]


@pytest.mark.parametrize(
    ("leave", "where", "what"),
    [
        (lambda s, f: (s.cells / f"{UNFINISHED}1-x").mkdir(), f"cells/{UNFINISHED}1-x", "it was never finished"),
        (lambda s, f: (s.root / f"{UNFINISHED}1-x").mkdir(), f"{UNFINISHED}1-x", "it was never finished"),
        (lambda s, f: (s.cells / "note.txt").touch(), "cells/note.txt", "it is no cell's folder"),
        (lambda s, f: (f / "note.txt").touch(), "/note.txt", "it is no file of the cell"),
        (lambda s, f: (s.models / f.name / "note.txt").touch(), "/note.txt", "it is no file of the model"),
        (lambda s, f: (s.models / "note.txt").touch(), "models/note.txt", "it is no model's folder"),
        (lambda s, f: shutil.rmtree(f), "models/", "no stored cell has this model"),
    ],
)
def test_what_belongs_to_no_cell_is_found(store, leave, where, what):
    leave(store, folder_of(store, "zsl"))
    (store.root / "index.sqlite").unlink()
    (defect,) = verify(store).defects
    assert defect.kind == "orphaned"
    assert where in defect.where
    assert what in defect.what


def test_models_are_checked_against_their_checksums_folders_and_cells(store):
    (one, other) = sorted(store.models.iterdir())
    one.rename(store.models / "renamed")
    content = bytearray((other / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (other / "model.safetensors").write_bytes(content)
    found = {defect.where: (defect.kind, defect.what) for defect in verify(store).defects}
    assert found["models/renamed"] == ("disagrees", f"model.json describes the model {one.name}")
    assert found[f"models/{other.name}"][0] == "unreadable"
    assert len(found) == 2


def test_a_row_of_the_index_without_a_cell_or_with_other_figures_is_found(store):
    zsl, gzsl = folder_of(store, "zsl"), folder_of(store, "gzsl")
    with closing(sqlite3.connect(store.root / "index.sqlite")) as index, index:
        change = "UPDATE cells SET result = CAST(replace(CAST(result AS TEXT), 'top1', 'top9') AS BLOB) WHERE id = ?"
        index.execute(change, [zsl.name])
    shutil.rmtree(store.models)
    shutil.rmtree(gzsl)
    assert {(defect.where, defect.what) for defect in verify(store).defects} == {
        (zsl.name, "its row in index.sqlite is not that of the cell"),
        (gzsl.name, "index.sqlite has a row without a cell"),
    }
    (store.root / "index.sqlite").write_text("nonsense")
    (defect,) = verify(store).defects
    assert (defect.where, defect.kind) == ("index.sqlite", "unreadable")
    assert [r.cell.id for r in store.records()] == [zsl.name]
    assert verify(store).defects == []


def test_an_index_that_is_a_folder_is_to_be_deleted(store):
    store.records()
    (store.root / "index.sqlite").unlink()
    (store.root / "index.sqlite").mkdir()
    (defect,) = verify(store).defects
    assert (defect.where, defect.what) == ("index.sqlite", "it is no file; delete it")
    assert len(store.records()) == 2


def test_verification_changes_nothing(store):
    folder_of(store, "zsl")
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    verify(store)
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before


def test_a_video_that_is_predicted_twice_is_found_without_the_feature_set(store, monkeypatch, tmp_path):
    folder = folder_of(store, "zsl")
    (folder / "scores.npy").unlink()
    videos = read_predictions(folder / "predictions.parquet").videos
    change(folder, videos=(videos[1], *videos[1:]))
    monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(tmp_path / "elsewhere"))
    assert found_in(store, folder) == ["disagrees: a video is predicted twice"]


def test_scores_of_the_best_classes_that_are_rounded_are_found(store):
    folder = folder_of(store, "gzsl")
    (folder / "scores.npy").unlink()
    scores = read_predictions(folder / "predictions.parquet").ranked.scores
    change(folder, scores=scores * (1 + 1e-9))  # as little as rounding to float32
    assert any("the best seen class is not that of the best classes" in what for what in found_in(store, folder))
    change(folder, scores=scores.astype(np.float32))
    assert found_in(store, folder) == ["disagrees: predictions.parquet: scores is not finite float64"]


def test_classes_that_are_not_those_of_the_split_are_found_without_the_feature_set(store, monkeypatch, tmp_path):
    folder = folder_of(store, "zsl")
    (folder / "scores.npy").unlink()
    classes = read_predictions(folder / "predictions.parquet").classes
    other = next(name for name in get_dataset("hmdb51").classes if name not in classes)
    forged = change(folder, classes=(*classes[:-1], other))
    sizes = get_dataset("hmdb51").videos_per_class
    changes = {"classes": forged.counts().model_dump(mode="json"), "expected": sum(map(sizes.get, forged.classes))}
    edit(folder / "result.json", changes)
    shutil.rmtree(store.models)
    monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(tmp_path / "elsewhere"))
    assert found_in(store, folder) == ["disagrees: its classes are not those of xu-50/50 #0"]


def test_a_model_whose_unseen_classes_are_not_those_of_its_cell_is_found(store):
    folder = folder_of(store, "zsl")
    card = store.models / folder.name / "model.json"
    content = json.loads(card.read_text())
    content["unseen"] = content["unseen"][::-1]
    card.write_text(json.dumps(content))
    assert "disagrees: its unseen classes are not those of its cell" in found_in(store, folder)


@pytest.mark.slow
def test_no_flipped_bit_in_a_thousand_is_missed(store):
    rng = np.random.default_rng(0)
    files = sorted(path for path in store.cells.glob("*/*") if path.stat().st_size)
    missed = []
    for _ in range(1000):
        path = files[rng.integers(len(files))]
        whole = path.read_bytes()
        place, bit = int(rng.integers(len(whole))), int(rng.integers(8))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        if not found_in(store, path.parent):
            missed.append((path.name, place, bit))
        path.write_bytes(whole)
    assert missed == []
