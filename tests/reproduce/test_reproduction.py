"""Reproductions: what is planned, how figures are held against published ones, and what the tables say."""

import csv
import io
import math
from dataclasses import replace

import pytest
import tiny
from fakes import fake_record, fake_store

from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.leaderboard.agreement import compare_with_published
from zslbench.ledger.papers import get_paper
from zslbench.ledger.published import Published
from zslbench.report.page import Page
from zslbench.reproduce.page import check_folder, write_folder
from zslbench.reproduce.reproduction import entries, prepare
from zslbench.reproduce.tables import Caveats, table1, table2

PUBLISHED = Published(
    system="X", dataset="hmdb51", protocol="50/50", metric="top1", value=22.1, decimals=2, source="s",
    read_at_source=True,
)  # fmt: skip


@pytest.fixture
def paper():
    return get_paper("action2vec")


def made_of(paper, **options):
    return prepare("action2vec", paper, **{"datasets": ["hmdb51"], "features": "tiny", "quick": True} | options)


@pytest.mark.parametrize(
    ("measured", "low", "high", "status"),
    [
        (22.104, 20.0, 24.0, "reproduced"),  # rounds to 22.10
        (22.106, 20.0, 24.0, "inconclusive"),  # rounds to 22.11
        (20.0, 19.0, 22.1, "inconclusive"),
        (20.0, 19.0, 22.0, "differs"),
        (25.0, 22.2, 27.0, "differs"),
        (20.0, math.nan, math.nan, "inconclusive"),
        (None, math.nan, math.nan, "not run"),
    ],
)
def test_a_status_is_what_its_definition_says(measured, low, high, status):
    assert compare_with_published(PUBLISHED, measured, low, high).status == status


def test_a_published_spread_widens_what_counts_as_reproduced():
    spread = PUBLISHED.model_copy(update={"spread": 1.0, "spread_over": "30 splits"})
    assert compare_with_published(spread, 23.1, 22.5, 23.5).status == "reproduced"
    assert compare_with_published(spread, 23.11, 22.5, 23.5).status == "differs"


def test_a_reason_not_to_compare_wins_and_the_figure_is_kept():
    outcome = compare_with_published(PUBLISHED, 22.1, 20.0, 24.0, not_comparable="simulated features")
    assert (outcome.status, outcome.why, outcome.measured) == ("not comparable", "simulated features", 22.1)
    assert compare_with_published(None, 22.1, 20.0, 24.0).status == "not comparable"
    assert compare_with_published(None, None).status == "not run"


def test_published_families_are_taken_where_the_features_cover_them_else_random_ones(paper):
    tiny.make_features("ucf101", per_class=2)
    made = made_of(paper, datasets=["ucf101"])
    assert {t.ratio.name: t.family for t in made.tasks} == {
        "50/50": "xu-50/50", "80/20": "bidilel-80/20", "90/10": "random-90/10",
    }  # fmt: skip
    tiny.make_features("ucf101", "part", per_class=2, classes=get_dataset("ucf101").classes[:30])
    made = made_of(paper, datasets=["ucf101"], features="part")
    assert [t.family for t in made.tasks[::6]] == ["random-50/50", "random-80/20", "random-90/10"]


def test_a_ratio_that_leaves_one_unseen_class_is_not_run_and_says_so(paper):
    tiny.make_features(classes=get_dataset("hmdb51").classes[:15])
    made = made_of(paper)
    by_ratio = {task.ratio.name: task for task in made.tasks}
    assert by_ratio["80/20"].cells
    assert not by_ratio["90/10"].cells
    assert "too few classes" in by_ratio["90/10"].why


def test_parameters_of_a_row_and_quick_settings_reach_the_cells(paper):
    tiny.make_features()
    row = paper.rows[0].model_copy(update={"method": "action2vec:paper", "set": {"attn_at": "none"}})
    full = made_of(paper.model_copy(update={"rows": (row, *paper.rows[1:])}), quick=False)
    params = full.tasks[0].cells[0].params
    assert (params["pr_negatives"], params["attn_at"]) == ("batch", "none")
    assert full.folder == "action2vec-hmdb51@tiny"
    quick = made_of(paper)
    assert quick.tasks[0].cells[0].params["hidden1"] == paper.quick.set["action2vec"]["hidden1"]
    assert quick.folder == "action2vec-hmdb51@tiny-quick"
    assert len(quick.plan.cells) == 3 * 6 * 2


def test_more_splits_than_a_family_has_means_all_of_them(paper):
    tiny.make_features("ucf101", per_class=2)
    made = made_of(paper, datasets=["ucf101"], splits="40")
    counts = {task.ratio.name: len(task.cells) for task in made.tasks}
    assert counts == {"50/50": 37, "80/20": 30, "90/10": 40}  # three of xu's first forty are repetitions


def test_without_dataset_every_dataset_with_features_runs_and_the_others_say_why(paper):
    tiny.make_features()
    made = made_of(paper, datasets=())
    assert list(made.features) == ["hmdb51"]
    assert made.skipped == {"ucf101": "no features", "kinetics400": "no features"}


def test_without_any_features_one_sentence_tells_what_to_do(paper):
    with pytest.raises(ZslbenchError, match="zslbench features import"):
        made_of(paper, datasets=(), features=None)


@pytest.fixture(scope="module")
def stored_once(tmp_path_factory):
    """A reproduction whose every cell has 60, 50 and 40 % of three classes right, and where it lies."""
    root = tmp_path_factory.mktemp("reproduction")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZSLBENCH_DATA_ROOT", str(root / "data"))
        tiny.make_features()
        made = made_of(get_paper("action2vec"))
    records = [fake_record(top1=(60, 50, 40, 55, 45), scored=(100,) * 5, **_of(cell)) for cell in made.plan.cells]
    fake_store(root, records)
    return made, root


@pytest.fixture
def stored(stored_once, monkeypatch):
    """What no test changes; each reads it from the data root that it was made in."""
    made, root = stored_once
    monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(root / "data"))
    return made, Store(root)


def _of(cell):
    return {"method": cell.label} | {k: v for k, v in cell.model_dump().items() if k not in ("method", "label", "seed")}


def test_entries_hold_the_mean_of_their_own_cells_against_their_own_figure(stored):
    made, store = stored
    found = entries(made, store)
    assert len(found) == 3 * 6 * 3
    (entry,) = (
        e for e in found if (e.task.dataset, e.task.ratio.name, e.task.row.name)
        == ("hmdb51", "90/10", "Single LSTM w/dual loss")
    )  # fmt: skip
    assert entry.comparison.measured == pytest.approx(50)
    assert entry.comparison.published.value == 53.76
    assert entry.comparison.low <= 53.76 <= entry.comparison.high
    assert (entry.comparison.status, entry.comparison.why) == ("not comparable", "quick settings are not the paper's")


@pytest.fixture
def own_features(paper, tmp_path):
    """A reproduction with the paper's settings on its kind of features, whose cells are all stored."""

    def made(extractor="c3d-fc6", semantics="word2vec-xu", splits="5", **cell):
        tiny.make_features("ucf101", "c3d", per_class=2, extractor=extractor, trained_on=("sports1m",))
        found = made_of(paper, datasets=["ucf101"], features="c3d", quick=False, semantics="minilm", splits=splits)
        found.semantics = semantics
        sizes = {"50/50": 50, "80/20": 20, "90/10": 10}
        records = {
            made_cell.id: fake_record(**_of(made_cell), **_counts(sizes[task.ratio.name]), **cell)
            for task in found.tasks
            for made_cell in task.cells
        }
        return found, fake_store(tmp_path, records.values())

    return made


def _counts(n_classes):
    names = tuple(f"class {i:02d}" for i in range(n_classes))
    return {"names": names, "scored": (100,) * n_classes, "top1": tuple(10 + 10 * (i % 4) for i in range(n_classes))}


def statuses(made, store):
    return {(e.comparison.status, e.comparison.why) for e in entries(made, store) if e.row}


def test_with_the_papers_features_class_vectors_and_protocol_a_figure_is_compared(own_features):
    found = statuses(*own_features())
    assert {status for status, _ in found} <= {"reproduced", "inconclusive", "differs"}
    assert {status for status, _ in found} >= {"inconclusive", "differs"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"extractor": "i3d"}, "on features of i3d, the paper: C3D trained on Sports-1M"),
        ({"semantics": "minilm"}, "with class vectors minilm, the paper: word2vec"),
        ({"splits": "2"}, "only "),
    ],
)
def test_other_inputs_or_fewer_splits_than_the_papers_are_not_comparable(own_features, change, why):
    made, store = own_features(**change)
    found = statuses(made, store)
    assert {status for status, _ in found} == {"not comparable"}
    assert {reason for _, reason in found if not reason.startswith(why)} == set()
    rows = list(csv.DictReader(io.StringIO(table1(made, entries(made, store)).csv())))
    assert {row["status"] for row in rows} == {"not comparable", "not run"}
    text = table1(made, entries(made, store)).markdown("t")
    assert "within the interval" not in text
    assert f"not comparable: {why}" in text


def test_an_inconclusive_figure_is_not_called_an_agreement(own_features):
    made, store = own_features()
    table = table1(made, entries(made, store))
    assert all("within the interval" not in str(fact) for fact in table.facts)
    assert any(fact["status"] == "inconclusive" and "which lies in the" in fact["why"] for fact in table.facts)


def test_table_1_keeps_measured_and_published_apart_and_names_what_was_not_run(stored):
    made, store = stored
    table = table1(made, entries(made, store))
    measured, published = table.blocks
    assert "QUICK" in measured.caption
    assert "never ranked" in published.caption
    text = table.markdown("t")
    assert "not run: no features" in text
    assert "hmdb51@tiny (test, trained on nothing); the paper: C3D" in text
    assert "These differ" in text
    facts = list(csv.DictReader(io.StringIO(table.csv())))
    assert len(facts) == 54
    one = facts[0]
    assert (one["measured"], one["published"], one["status"]) == ("50.0000", "23.48", "not comparable")
    assert (one["quick"], one["simulated"], one["family"]) == ("True", "False", "xu-50/50")


def test_measured_rows_name_what_was_put_in_and_published_ones_the_papers(stored):
    made, store = stored
    name, ours = "Pooled C3D fc7 (kernel ridge regression)", "pooled hmdb51@tiny, kernel ridge regression"
    for table in (table1(made, entries(made, store)), table2(made, entries(made, store))):
        measured, published = ([row[0] for row in block.rows] for block in table.blocks)
        assert f"{ours} (paper: Pooled C3D fc7)" in measured
        assert name not in measured
        assert name in published
        (fact, *_) = (fact for fact in table.facts if fact["row"] == name and fact["dataset"] == "hmdb51")
        assert fact["measured_as"].startswith(ours)


def test_splits_that_repeat_others_are_told_from_distinct_ones(paper, tmp_path):
    tiny.make_features("ucf101", per_class=2)
    made = made_of(paper, datasets=["ucf101"])
    repeated = [_of(cell) | {"repeats": 2} for cell in made.plan.cells]
    fake_store(tmp_path, [fake_record(**options) for options in repeated])
    row = table1(made, entries(made, Store(tmp_path))).blocks[0].rows[0]
    assert "2 of 47 distinct xu-50/50" in row


def test_table_1_says_that_two_rows_barely_differ(stored):
    made, store = stored
    assert any("barely differ" in note for note in table1(made, entries(made, store)).notes)


def test_a_page_says_what_its_own_run_chose_where_the_paper_leaves_something_open(stored, tmp_path):
    made, _ = stored
    quick, full = "linear; no Laplacian", "RBF; Laplacian over training videos only"
    for run, chosen, other in ((made, quick, full), (replace(made, quick=False), full, quick)):
        write_folder(tmp_path / "out", run, [], [], "zslbench reproduce")
        text = (tmp_path / "out" / "index.html").read_text()
        assert ("here (quick)" in text) is run.quick
        assert chosen in text
        assert other not in text
        assert "absent slots are left out" in text


def test_quick_settings_and_the_choices_agree(paper):
    quick, choices = paper.quick.set, {choice.issue: choice.quick for choice in paper.choices}
    sizes = (quick["stacked-lstm"]["hidden1"], quick["stacked-lstm"]["hidden2"], quick["single-lstm"]["hidden1"])
    assert "{} then {}; {}".format(*sizes) in choices["Sizes of the stacked and the single LSTM"]
    assert quick["pooled-krr"]["kernel"] in choices["Kernel and Laplacian of the pooled baseline"]
    assert f"{quick['action2vec']['epochs']} epoch," in choices["Learning rate, batch size, epochs"]
    assert any(issue.startswith("PCA") for issue in choices)


def test_table_2_quotes_the_other_systems_with_their_caveats(stored):
    made, store = stored
    text = table2(made, entries(made, store)).markdown("t")
    assert "TZS w/out aux data" in text
    assert "no method of this name is installed" in text
    assert "'zslbench run --method uda' runs a reconstruction" in text
    assert "not ECCV 2016" in text
    assert text.count("KDCIA") >= 2


def test_simulated_features_are_never_a_reproduction(paper, tmp_path):
    tiny.make_features()
    made = made_of(paper)
    cells = [cell.model_copy(update={"simulated": True}) for cell in made.plan.cells]
    fake_store(tmp_path, [fake_record(**_of(cell)) for cell in cells])
    made.plan.simulated = True
    found = [e for e in entries(made, Store(tmp_path)) if e.row]
    assert found
    assert {e.comparison.status for e in found} == {"not comparable"}
    assert (
        "SIMULATED" in table1(made, found + [e for e in entries(made, Store(tmp_path)) if not e.row]).blocks[0].caption
    )


def test_failed_cells_are_counted_as_the_reason(paper, tmp_path):
    from zslbench.cells.cell import State

    tiny.make_features()
    made = made_of(paper)
    fake_store(tmp_path, [fake_record(**_of(cell), state=State.FAILED) for cell in made.plan.cells])
    entry = entries(made, Store(tmp_path))[0]
    assert (entry.comparison.status, entry.comparison.why) == ("not run", "2 cells failed")


def test_caveats_that_all_rows_share_get_no_number():
    rows = [PUBLISHED.model_copy(update={"caveats": caveats}) for caveats in (("all", "one"), ("all",), ("all", "two"))]
    caveats = Caveats(rows)
    assert caveats.notes() == ["all", "[1] one", "[2] two"]
    assert [caveats.cell(row).text for row in rows] == ["22.10 [1]", "22.10", "22.10 [2]"]


@pytest.mark.parametrize(
    ("extractor", "trained_on", "same"),
    [("C3D-fc6", ("Sports-1M",), True), ("c3d", ("ucf101",), False), ("i3d", ("sports1m",), False)],
)
def test_features_are_the_papers_only_if_extractor_and_training_set_are(paper, extractor, trained_on, same):
    tiny.make_features(extractor=extractor, trained_on=trained_on)
    assert made_of(paper).same_features("hmdb51") is same


def test_a_folder_of_something_else_is_not_replaced(stored, tmp_path):
    made, store = stored
    out = tmp_path / "out"
    table = table1(made, entries(made, store))
    for _ in range(2):  # the second replaces the first
        names = write_folder(out, made, [table], [], "zslbench reproduce")
    assert names == ["files.json", "index.html", "table1-quick.csv", "table1-quick.md"]
    assert names == sorted(path.name for path in out.iterdir())
    assert "<title>QUICK RUN" in (out / "index.html").read_text()
    (out / "table9.csv").write_text("")
    with pytest.raises(ZslbenchError, match=r"table9\.csv\); choose a new folder"):
        check_folder(out)


@pytest.mark.parametrize("names", [["figure1.png"], ["table1.csv", "index.html"], ["tables/a"], ["files.json", "a"]])
def test_files_that_only_look_like_a_reproductions_are_kept(stored, tmp_path, names):
    made, store = stored
    out = tmp_path / "paper"
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text('{"files": ["a"]}' if name == "files.json" else "mine")
    with pytest.raises(ZslbenchError, match="choose a new folder"):
        write_folder(out, made, [table1(made, entries(made, store))], [], "zslbench reproduce")
    assert all((out / name).exists() for name in names)


def test_a_folder_in_the_place_of_a_written_file_is_kept(stored, tmp_path):
    made, store = stored
    out = tmp_path / "out"
    write_folder(out, made, [table1(made, entries(made, store))], [], "zslbench reproduce")
    (out / "table1-quick.csv").unlink()
    (out / "table1-quick.csv").mkdir()
    (out / "table1-quick.csv" / "thesis.tex").write_text("")
    with pytest.raises(ZslbenchError, match="choose a new folder"):
        check_folder(out)


def test_the_page_needs_no_network(stored, tmp_path):
    made, store = stored
    page = Page("t")
    table1(made, entries(made, store)).add_to(page)
    assert "http" not in page.render().replace("http-equiv", "")
