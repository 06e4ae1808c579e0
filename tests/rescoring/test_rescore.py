"""Kept scores read as another protocol give what a run of that protocol gives, or are refused with the reason."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.cells.kept_scores import AllScores, read_all_scores
from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.split_files import write_imported
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.datasets.video_ids import video_key
from zslbench.datasets.video_lists import base_and_novel, known_lists, video_list
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.catalog import derive_features
from zslbench.features.importing import FeatureFiles, Provenance, import_features
from zslbench.leaderboard.board import build_rows
from zslbench.method import Report
from zslbench.registry import get_method
from zslbench.rescoring.dependence import _declared
from zslbench.rescoring.readings import LabelSpace, OfficialLists, find_reading
from zslbench.rescoring.rescore import rescore
from zslbench.rescoring.sources import Source, merged
from zslbench.rescoring.tables import rescored_text
from zslbench.run.runner import run_cell
from zslbench.semantics.class_vectors import open_semantics

RIDGE = {"set": {"ridge": {"alpha": 1.0}}}
JOINT = 384  # values of the class vectors, so that nearest-text can compare them with features


def run(root, *, keep="float32", **settings):
    """Run a small experiment and return its store."""
    store = Store(root, keep_scores=keep)
    for cell in plan(**settings):
        run_cell(cell, store, Report())
    return store


def read(store, *names):
    return rescore(store, store.records(), names)


def by_class(counts):
    return dict(zip(counts.names, zip(counts.scored, counts.top1, counts.top5, strict=True), strict=True))


def made_scores(seed, *, n=80, c=12, kept="float64", step=0.0, scale=1.0):
    """Return the float64 scores of made-up videos, and what is kept of them."""
    rng = np.random.default_rng(seed)
    exact = rng.normal(size=(n, c)) * scale
    exact = np.round(exact / step) * step if step else exact
    labels = rng.integers(c, size=n)
    best = np.full(exact.shape, -np.inf)
    first = np.argsort(-exact, axis=1, kind="stable")[:, :5]
    np.put_along_axis(best, first, np.take_along_axis(exact, first, axis=1), axis=1)
    names = tuple(f"class {i:02}" for i in range(c))
    rounded = exact.astype(kept)
    lossless = (rounded.astype(float) == exact).all()
    scores = AllScores(tuple(f"v{i}" for i in range(n)), names, labels, np.ones(c, dtype=bool), rounded,
                       None if lossless else best)  # fmt: skip
    return exact, Source(scores, frozenset(names))


def counted(exact, source, space):
    """Count in plain loops, in float64, how often a label is the first and among the first five."""
    columns = [source.scores.classes.index(name) for name in space.classes]
    found = {name: [0, 0, 0] for name in space.classes}
    for scores, label in zip(exact.tolist(), source.scores.labels.tolist(), strict=True):
        if label in columns:
            before = 0
            for j in columns:
                before += scores[j] > scores[label] or (scores[j] == scores[label] and j < label)
            cell = found[source.scores.classes[label]]
            cell[0] += 1
            cell[1] += before < 1
            cell[2] += before < 5
    return {name: tuple(cell) for name, cell in found.items()}


@pytest.mark.parametrize("step", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_counts_of_any_label_space_are_those_of_a_loop_in_float64_also_among_equal_scores(seed, step):
    exact, source = made_scores(seed, step=step)
    rng = np.random.default_rng(seed)
    for size in (2, 5, 7, 12):
        space = LabelSpace(tuple(sorted(rng.choice(source.scores.classes, size, replace=False).tolist())))
        counts, undecided = source.read(space)
        assert by_class(counts) == counted(exact, source, space)
        assert undecided == 0


@pytest.mark.parametrize("seed", range(5))
def test_rounded_scores_of_all_classes_lose_nothing_and_of_fewer_no_more_than_is_said(seed):
    exact, source = made_scores(seed, n=1000, c=40, kept="float16", scale=2e-7)  # float16 has few numbers here
    everything = LabelSpace(source.scores.classes)
    counts, undecided = source.read(everything)
    loop = counted(exact, source, everything)
    assert [cell[1:] for cell in by_class(counts).values()] == [cell[1:] for cell in loop.values()]
    assert undecided == 0
    space = LabelSpace(source.scores.classes[:5])
    counts, undecided = source.read(space)
    wrong = abs(sum(counts.top1) - sum(cell[1] for cell in counted(exact, source, space).values()))
    assert 0 < undecided < 1000
    assert wrong <= undecided


def test_an_untrained_method_scored_in_gzsl_gives_the_zsl_figures_of_every_split(tmp_path):
    make_features(dim=JOINT, noise=3.0)
    together = run(tmp_path / "gzsl", method="nearest-text", protocol="gzsl", splits="12")
    apart = run(tmp_path / "zsl", keep=None, method="nearest-text", splits="all")
    (source,) = merged(Source(read_all_scores(together.path(r.cell.id)), frozenset(
        name for name, unseen in zip(r.result.classes.names, r.result.classes.unseen, strict=True) if unseen
    )) for r in together.records())  # fmt: skip
    assert len(source.scores.videos) == 51 * 6
    found = {r.cell.split: source.read(LabelSpace(r.result.classes.names))[0] for r in apart.records()}
    assert len(found) == 50
    assert found == {r.cell.split: r.result.classes for r in apart.records()}
    (method,) = read(together, "xu-50/50", "all")
    halves, everything = method.rows
    top1 = [record.result.metrics["top1"] for record in apart.records()]
    assert halves.figures["top1"] == pytest.approx(np.mean(top1), abs=1e-12)
    assert halves.figures["split_std"] == pytest.approx(np.std(top1, ddof=1), abs=1e-12)
    assert halves.figures["chance"] == pytest.approx(1 / 25)
    assert (everything.n_classes, everything.n_videos, "split_std" in everything.figures) == (51, 306, False)


def test_a_trained_method_gives_its_own_cells_figures_and_nothing_of_classes_that_it_trained_on(tmp_path):
    make_features()
    store = run(tmp_path, method="ridge", splits="2", **RIDGE)
    (method,) = read(store, "xu-50/50", "all", "truze-v1")
    (own,) = method.rows
    assert own.n_read == 2
    assert own.figures["top1"] == pytest.approx(np.mean([r.result.metrics["top1"] for r in store.records()]))
    assert set(method.refused) == {"all", "truze-v1"}
    assert all("it trained on the seen ones" in why for why in method.refused.values())
    assert "trained in zsl xu-50/50" in method.title


def test_unseen_classes_of_a_trained_method_can_be_read_among_fewer_of_them(tmp_path, monkeypatch):
    make_features()
    store = run(tmp_path, method="ridge", splits="1", **RIDGE)
    (record,) = store.records()
    few = record.result.classes.names[3:9]
    monkeypatch.setattr("zslbench.rescoring.rescore.find_reading", lambda *_: find_few(few))
    (method,) = read(store, "few")
    counts = by_class(Source(read_all_scores(store.path(record.cell.id)), frozenset()).read(LabelSpace(few))[0])
    assert method.rows[0].figures["top1"] == pytest.approx(sum(c[1] for c in counts.values()) / 36)
    assert method.rows[0].figures["chance"] == pytest.approx(1 / 6)


def find_few(classes):
    from zslbench.rescoring.readings import Reading

    return Reading("few", (LabelSpace(classes),), 1)


@pytest.mark.parametrize(
    ("method", "why"),
    [("ridge+nrm", "looks at the unlabelled test videos"), ("majority", "chooses by test labels"),
     ("f-clswgan", "check class-company")],
)  # fmt: skip
def test_scores_that_depend_on_the_test_are_refused(tmp_path, method, why, monkeypatch):
    monkeypatch.setattr(get_method("f-clswgan"), "fit", lambda *_: None)
    monkeypatch.setattr(get_method("f-clswgan"), "score", lambda self, v, c: np.zeros((len(v), len(c))))
    make_features()
    store = run(tmp_path, method=method, splits="1", **(RIDGE if "ridge" in method else {}))
    (found,) = read(store, "xu-50/50")
    assert found.rows == ()
    assert why in found.refused["xu-50/50"]


def test_scores_of_bike_depend_on_the_classes_on_offer_with_its_branch_of_attributes_only():
    bike = get_method("bike")
    declared = {
        kind: _declared(bike, SimpleNamespace(params={"attributes": kind})) for kind in ("none", "cosine", "head")
    }
    assert declared == {"none": set(), "cosine": {"class-company"}, "head": {"class-company"}}


def test_a_method_without_its_code_or_without_a_check_is_refused(tmp_path, monkeypatch):
    make_features()
    store = run(tmp_path, method="ridge", splits="1", **RIDGE)
    monkeypatch.setattr("zslbench.rescoring.dependence.is_own", lambda method: False)
    assert "run 'zslbench check ridge'" in read(store, "xu-50/50")[0].refused["xu-50/50"]
    monkeypatch.setattr("zslbench.run.trained.source_digest", lambda method: "another")
    assert "not installed with the code" in read(store, "xu-50/50")[0].refused["xu-50/50"]


def test_features_fitted_on_seen_videos_make_an_untrained_method_a_trained_one(tmp_path):
    from zslbench.run.trained import trains

    make_features(dim=JOINT)
    derive_features(get_dataset("hmdb51"), "tiny", "fitted", k=20, fit="seen")
    cells = [*plan(method="random", splits="1"), *plan(method="random", features="fitted", splits="1")]
    assert [trains(cell) for cell in cells] == [False, True]


def test_cells_that_disagree_on_a_video_are_not_put_together(tmp_path):
    make_features()
    store = run(tmp_path, method="random", protocol="gzsl", splits="3")
    (found,) = read(store, "xu-50/50")
    assert "different scores of one video and class" in found.refused["xu-50/50"]


def test_a_part_of_a_classs_videos_is_not_taken_for_all(tmp_path):
    make_features(dim=JOINT)
    store = run(tmp_path, method="nearest-text", protocol="gzsl", splits="1")
    (found,) = read(store, "all", "xu-50/50")
    assert "lack videos of these classes" in found.refused["all"]
    assert [row.n_read for row in found.rows] == [1]  # the split that ran


def listed_features(folder, **sides):
    """Import noisy class vectors as ``tiny`` features of HMDB51's own videos, some of each side of its first list."""
    dataset, listed = get_dataset("hmdb51"), video_list("hmdb51", "official-1")
    pairs = []
    for name, videos in known_lists("hmdb51").videos.items():
        for side, n in sides.items():
            pairs += [(v, name) for v, of in zip(videos, listed.sides(videos), strict=True) if of == side][:n]
    vectors = open_semantics("minilm", dataset).vectors[[dataset.label_of[name] for _, name in pairs]]
    np.save(folder / "x.npy", vectors + np.random.default_rng(0).normal(scale=0.1, size=vectors.shape).astype("f4"))
    (folder / "x.csv").write_text("video,class\n" + "".join(f"{video},{name}\n" for video, name in pairs))
    import_features(dataset, "tiny", FeatureFiles(folder / "x.npy", folder / "x.csv"), Provenance("test", ("nothing",)))
    return {video for video, _ in pairs}


def test_with_a_list_only_its_test_videos_count(tmp_path):
    listed_features(tmp_path, test=2, train=4)
    store = run(tmp_path / "runs", method="nearest-text", protocol="gzsl", splits="12")
    (method,) = read(store, "official-1", "all@official-1", "xu-50/50@official-1", "all")
    found = {row.reading.name: (row.n_classes, row.n_videos) for row in method.rows}
    assert found.pop("all") == (51, 6 * 51)
    assert found == {"official-1": (51, 102), "all@official-1": (51, 102), "xu-50/50@official-1": (25, 50)}
    right = n = 0
    scores = [read_all_scores(store.path(record.cell.id)) for record in store.records()]
    wanted = {video_key(video) for video in video_list("hmdb51", "official-1").test}
    for each in scores:
        for video, label, row in zip(each.videos, each.labels, each.kept.tolist(), strict=True):
            if video_key(video) in wanted:
                wanted.remove(video_key(video))
                n += 1
                right += row.index(max(row)) == label
    assert n == 102
    assert method.rows[0].figures["top1"] == pytest.approx(right / n)


def test_cells_of_one_test_list_are_not_read_as_all_videos(tmp_path):
    listed_features(tmp_path, test=3)
    store = run(tmp_path / "runs", method="ridge", splits="2", **RIDGE)
    (method,) = read(store, "xu-50/50", "xu-50/50@official-1", "xu-50/50@official-2")
    assert [row.reading.name for row in method.rows] == ["xu-50/50@official-1"]
    assert "tested videos of official-1 only; NAME@official-1 reads" in method.refused["xu-50/50"]
    assert "lack" in method.refused["xu-50/50@official-2"] or "none of its" in method.refused["xu-50/50@official-2"]


def test_a_list_of_the_features_own_column_is_read_and_not_taken_for_all_videos(tmp_path):
    make_features(dim=JOINT, official=True)  # ids that are on no published list
    store = run(tmp_path, method="nearest-text", family="official-lists", splits="1")
    (method,) = read(store, "all", "official-1", "xu-50/50@official-1")
    assert {row.reading.name: row.n_videos for row in method.rows} == {"official-1": 51 * 2, "xu-50/50@official-1": 50}
    assert "tested videos of official-1 only" in method.refused["all"]
    (record,) = store.records()
    assert method.rows[0].figures["top1"] == record.result.metrics["top1"]


@pytest.mark.parametrize("settings", [{"protocol": "supervised"}, {"protocol": "few-shot", "family": "2-shot"}])
def test_trained_classes_are_read_for_an_untrained_method_only(tmp_path, settings):
    make_features(dim=JOINT, official=True)
    whole = run(tmp_path / "lists", method="nearest-text", family="official-lists", splits="1")
    store = run(tmp_path / "runs", method=("nearest-text", "ridge"), splits="1", **settings, **RIDGE)
    untrained, trained = sorted(read(store, "official-1", "all"), key=lambda method: method.trained)
    (record,) = whole.records()
    assert [row.reading.name for row in untrained.rows] == ["official-1"]
    assert untrained.rows[0].figures["top1"] == record.result.metrics["top1"]
    assert trained.rows == ()
    assert set(trained.refused.values()) == {"its cells test the classes that it trained on"}


def test_classes_that_base_to_novel_offered_apart_are_never_read_together(tmp_path):
    make_features(dim=JOINT, official=True)
    novel = base_and_novel("hmdb51")[1]
    split = Split(tuple(name for name in get_dataset("hmdb51").classes if name not in novel[:9]), novel[:9])
    write_imported([SplitFamily("novel", "hmdb51", (split,), "a test")])
    settings = {"protocol": "base-to-novel", "shots": 2, "splits": "1"}
    store = run(tmp_path / "runs", method=("nearest-text", "ridge"), **settings, **RIDGE)
    for method in read(store, "official-1", "xu-50/50@official-1", "novel@official-1", "novel"):
        assert [(row.reading.name, row.n_videos) for row in method.rows] == [("novel@official-1", 18)]
        assert set(method.refused) == {"official-1", "xu-50/50@official-1", "novel"}
        reason = "trained on the seen ones" if method.trained else "offered base and novel classes apart"
        assert reason in method.refused["official-1"]


def test_the_classes_of_a_cell_across_datasets_are_read_whatever_trained_on_the_others(tmp_path):
    make_features(dim=JOINT)
    make_features("ucf101", dim=JOINT)
    store = run(tmp_path, method="ridge", train="ucf101", splits="1", **RIDGE)
    (method,) = read(store, "all", "xu-50/50")
    assert {row.reading.name: row.n_videos for row in method.rows} == {"all": 51 * 6, "xu-50/50": 25 * 6}
    (record,) = store.records()
    assert method.rows[0].figures["top1"] == record.result.metrics["top1"]


def test_a_cell_across_datasets_on_a_list_is_not_read_as_all_videos_in_gzsl_either(tmp_path):
    make_features(dim=JOINT, official=True)
    make_features("ucf101", dim=JOINT)
    settings = {"train": "ucf101", "family": "official-lists", "without_overlap": True, "splits": "1"}
    store = run(tmp_path, method="ridge", protocol="gzsl", calibrate=False, **settings, **RIDGE)
    (method,) = read(store, "random-80/20", "random-80/20@official-1", "all")
    assert [row.reading.name for row in method.rows] == ["random-80/20@official-1"]
    assert set(method.refused) == {"random-80/20", "all"}


def test_cells_without_kept_scores_name_the_remedy(tmp_path):
    make_features()
    store = run(tmp_path, keep=None, method="ridge", splits="1", **RIDGE)
    with pytest.raises(NotFoundError, match="--keep-scores --rerun all"):
        read(store)


@pytest.mark.parametrize("name", ["scores.npy", "predictions.parquet"])
def test_damaged_scores_are_named_in_one_sentence(tmp_path, name):
    make_features()
    store = run(tmp_path, method="ridge", splits="1", **RIDGE)
    records = store.records()
    path = store.path(records[0].cell.id) / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ZslbenchError, match=rf"damaged \({name} does not match SHA256SUMS\); run .* --rerun all\.$"):
        rescore(store, records, ["xu-50/50"])


def test_scores_that_contradict_the_predictions_are_damaged_whatever_their_checksum(tmp_path):
    from zslbench.cells._sums import write_sums

    make_features()
    store = run(tmp_path, method="ridge", splits="1", **RIDGE)
    folder = store.path(store.records()[0].cell.id)
    scores = np.load(folder / "scores.npy")
    np.save(folder / "scores.npy", scores[:, ::-1])
    (folder / "SHA256SUMS").unlink()
    write_sums(folder)
    with pytest.raises(ZslbenchError, match=r"scores\.npy: the scores of the best classes"):
        read_all_scores(folder)


def test_float64_keeps_every_digit(tmp_path):
    make_features()
    store = run(tmp_path, keep="float64", method="ridge", splits="1", **RIDGE)
    scores = read_all_scores(store.path(store.records()[0].cell.id))
    assert (scores.kept.dtype, scores.best) == (np.float64, None)


def test_several_seeds_are_pooled(tmp_path):
    make_features()
    store = run(tmp_path, method="random", splits="1", seed=(0, 1))
    (found,) = read(store, "xu-50/50")
    assert found.rows[0].figures["top1"] == pytest.approx(np.mean([r.result.metrics["top1"] for r in store.records()]))


def test_formats_say_the_same(tmp_path):
    make_features()
    found = read(run(tmp_path, method="ridge", splits="2", **RIDGE), "xu-50/50", "all")
    (row,) = json.loads(rescored_text(found, "json"))["rows"]
    (line,) = csv.DictReader(io.StringIO(rescored_text(found, "csv")))
    assert float(line["top1"]) == row["top1"] == found[0].rows[0].figures["top1"]
    shares = [f"{100 * row[name]:.1f}" for name in ("top1", "low_95_over_classes", "top5", "sd_over_splits_ddof1")]
    for fmt in ("console", "markdown"):
        text = rescored_text(found, fmt)
        assert all(share in text for share in shares)
        assert "Not read: all: a class is not among the unseen ones" in text


def test_a_reading_has_each_distinct_split_once():
    reading = find_reading(get_dataset("ucf101"), "xu-50/50", None, OfficialLists("ucf101"))
    assert (len(reading.spaces), reading.n_all) == (47, 50)


def test_an_unknown_reading_is_refused_with_those_that_there_are():
    with pytest.raises(NotFoundError, match="Did you mean xu-50/50"):
        find_reading(get_dataset("hmdb51"), "xu-50-50", None, OfficialLists("hmdb51"))


def test_leaks_of_the_inputs_are_marked_as_in_the_leaderboard(tmp_path):
    make_features(extractor="c3d", trained_on=("kinetics400",))
    store = run(tmp_path, method="ridge", splits="1", **RIDGE)
    (found,) = read(store, "xu-50/50")
    (row,) = build_rows(store.records())
    assert row.leaks
    assert (found.row.leaks, found.row.name) == (row.leaks, row.name)


@pytest.mark.slow
@pytest.mark.real
def test_captions_of_all_videos_give_the_figures_of_real_runs(tmp_path, zslbench, shared_data):
    captions = shared_data / "ucf101-captions"
    line = ["--features", captions / "features.npy", "--videos", captions / "videos.csv"]
    line += ["--extractor", "minilm-captions", "--trained-on", "captions"]
    assert zslbench("features", "import", "ucf101", "captions", *line)[0] == 0
    line = ["--method", "nearest-text", "--dataset", "ucf101", "--features", "captions", "--semantics", "minilm"]
    line += ["--no-track", "--results"]
    more = ["--keep-scores", "--protocol", "gzsl", "--splits", "0:14"]
    assert zslbench("run", *line, tmp_path / "together", *more)[0] == 0
    names = ("truze-v1", "sound", "e2e-half")
    for name in names:
        assert zslbench("run", *line, tmp_path / "apart", "--family", name, "--splits", "all")[0] == 0
    (method,) = read(Store(tmp_path / "together"), *names, "sound@official-1", "official-lists")
    found = {row.reading.name: row for row in method.rows}
    for row in build_rows(Store(tmp_path / "apart").records()):
        for name in ("top1", "low", "high", "top1_per_class", "top5", "chance"):
            assert found[row.table.family].figures[name] == pytest.approx(row.figures[name], abs=1e-12)
    assert (found["sound@official-1"].n_classes, found["sound@official-1"].n_videos) == (51, 1944)
    assert found["official-lists"].n_videos == pytest.approx((3783 + 3734 + 3696) / 3)
