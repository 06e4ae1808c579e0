"""MLflow as a projection of the store."""

import json
import posixpath
import re
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from fakes import fake_record, fake_store
from faults.hostile import NAMES, UNSEEN
from hypothesis import given
from hypothesis import strategies as st

from zslbench.cells.cell import Failure, State
from zslbench.cells.store import Record, Store
from zslbench.tracking._content import (
    FORM,
    RESULT_DIGEST,
    artifacts_folder,
    child_content,
    differences,
    metric_name,
    mlflow_text,
    params,
    settings,
)
from zslbench.tracking.complete import is_complete
from zslbench.tracking.errors import TrackingError
from zslbench.tracking.tracker import DATABASE, Tracker, check_database, default_uri, sync
from zslbench.tracking.view import VIEW_TAG

pytestmark = pytest.mark.versions

EXPERIMENT = "zslbench/hmdb51@c3d/zsl"


def predictions():
    return pa.table(
        {
            "label": pa.array(["jump", "kick"]).dictionary_encode(),
            "predicted": pa.FixedSizeListArray.from_arrays(pa.array(["jump", "kick"]), 1),
        }
    )


@pytest.fixture
def records():
    epochs = [{"loss": 1.0, "val": 0.1}, {"loss": 0.5, "val": 0.2}]
    made = [fake_record("ridge", i, params={"alpha": 1.5}, epochs=epochs, top1=(i, 5, 5, 4, 5)) for i in (0, 1)]
    return [*made, fake_record("eszsl"), fake_record("eszsl", 1, state=State.TIMEOUT)]


@pytest.fixture
def store(tmp_path, records, empty_mlflow):
    store = fake_store(tmp_path / "runs", records)
    shutil.copy(empty_mlflow, store.root)
    for record in records[:2]:
        store.write(record.cell, record.result, predictions=predictions(), environment={"git": {"commit": "abc123"}})
    return store


def client_of(store, uri=None):
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri or default_uri(store.root))


def runs_of(store, what="", uri=None):
    client = client_of(store, uri)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()], what))


def parent_of(store, method):
    (parent,) = runs_of(store, f"tags.`zslbench.parent` = 'true' and params.method = '{method}'")
    return parent


def everything(store, uri=None):
    """Return all that MLflow holds of every run, files' times included."""
    held = {}
    for run in runs_of(store, uri=uri):
        history = {key: client_of(store, uri).get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        held[run.info.run_id] = (
            run.info.status, run.info.start_time, run.info.end_time, run.info.run_name, run.data.params, run.data.tags,
            {key: [(p.step, p.timestamp, p.value) for p in points] for key, points in history.items()},
        )  # fmt: skip
    files = {path: path.stat().st_mtime_ns for path in (store.root / "mlartifacts").rglob("*") if path.is_file()}
    return held, files


def test_a_run_projects_cells_and_finishes_their_parents(store, records):
    tracker = Tracker(store)
    for record in records:
        tracker.project(record)
    tracker.finish()
    assert tracker.counts == {"created": 4}
    parent = parent_of(store, "ridge")
    assert parent.data.tags["set.ridge.alpha"] == "1.5"
    assert parent.data.params == {  # one row per method: none of their parameters differs
        "method": "ridge", "dataset": "hmdb51", "features": "c3d", "semantics": "minilm",
        "protocol": "zsl", "family": "xu-50/50",
    }  # fmt: skip
    metrics = parent.data.metrics
    assert metrics["top1"] == pytest.approx((19 / 50 + 20 / 50) / 2)
    assert metrics["n_splits"] == 2
    assert {"top1_low", "top1_high", "split_std", "top1_per_class", "fit_seconds", "chance"} <= set(metrics)
    assert "top5" not in metrics  # with five classes every video is right
    assert parent.info.status == "FINISHED"
    assert [(i.dataset.name, i.tags[0].value) for i in parent.inputs.dataset_inputs] == [("hmdb51@c3d", "unseen-test")]


def test_a_control_is_a_tag_of_its_runs_and_a_parent_of_its_own(tmp_path, empty_mlflow):
    made = [fake_record("ridge", 0), fake_record("ridge", 0, control="reversed")]
    store = fake_store(tmp_path / "controlled", made)
    shutil.copy(empty_mlflow, store.root)
    sync(store)
    (parent,) = runs_of(store, "tags.`zslbench.control` = 'reversed' and tags.`zslbench.parent` = 'true'")
    assert parent.data.params["control"] == "reversed"
    assert "ridge [reversed]" in parent.info.run_name
    (child,) = runs_of(store, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert child.data.tags["zslbench.cell_id"] == made[1].cell.id
    assert child.data.tags["zslbench.control"] == "reversed"
    plain = [run for run in runs_of(store, "tags.`zslbench.parent` = 'true'") if "control" not in run.data.params]
    assert len(plain) == 1


def test_children_carry_figures_curves_inputs_and_where_they_come_from(store, records):
    sync(store)
    (child,) = runs_of(store, f"tags.`zslbench.cell_id` = '{records[1].cell.id}'")
    assert child.data.tags["mlflow.parentRunId"] == parent_of(store, "ridge").info.run_id
    assert child.data.tags["mlflow.source.git.commit"] == "abc123"
    assert child.data.tags["zslbench.budget"] == "class-vectors"
    assert child.data.metrics["top1"] == pytest.approx(20 / 50)
    curve = client_of(store).get_metric_history(child.info.run_id, "epoch/loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]
    contexts = {i.tags[0].value: i.dataset for i in child.inputs.dataset_inputs}
    assert set(contexts) == {"seen-train", "unseen-test"}
    assert all(len(dataset.digest) <= 36 for dataset in contexts.values())


def test_a_failed_cell_is_a_failed_run_and_its_parent_counts_it(store, records):
    sync(store)
    (child,) = runs_of(store, f"tags.`zslbench.cell_id` = '{records[3].cell.id}'")
    assert (child.info.status, child.data.tags["zslbench.state"]) == ("FAILED", "timeout")
    assert "it broke" in child.data.tags["mlflow.note.content"]
    assert parent_of(store, "eszsl").data.tags["zslbench.without_figures"] == "1 timeout"


def test_a_second_sync_changes_nothing(store):
    assert sync(store) == {"created": 4}
    before = everything(store)
    assert len(before[0]) == 7  # four cells, two parents, one leaderboard
    time.sleep(0.01)
    assert sync(store) == {"unchanged": 4}
    assert everything(store) == before


def test_sync_rebuilds_in_an_empty_mlflow_what_a_run_wrote(store, records, tmp_path, empty_mlflow):
    tracker = Tracker(store)
    for record in records:
        tracker.project(record)
    tracker.finish()
    uri = f"sqlite:///{shutil.copy(empty_mlflow, tmp_path / 'other.db')}"
    assert sync(store, uri) == {"created": 4}

    def comparable(held):
        return sorted(str(run[:5] + run[6:]) for run in held.values())  # tags hold run ids, which are MLflow's own

    assert comparable(everything(store, uri)[0]) == comparable(everything(store)[0])
    assert len(runs_of(store, uri=uri)) == 7


def test_a_cell_that_ran_again_replaces_its_run_and_updates_its_parent(store, records):
    sync(store)
    again = Record(records[0].cell, fake_record("ridge", top1=(10, 10, 10), finished=5_000.0).result)
    store.write(again.cell, again.result)
    assert sync(store) == {"updated": 1, "unchanged": 3}
    (child,) = runs_of(store, f"tags.`zslbench.cell_id` = '{again.cell.id}'")
    assert child.data.metrics["top1"] == 1.0
    assert parent_of(store, "ridge").data.metrics["top1"] == pytest.approx((1 + 20 / 50) / 2)
    assert sync(store) == {"unchanged": 4}


def test_a_run_that_was_cut_off_is_made_whole(store, records):
    tracker = Tracker(store)
    tracker.project(records[0])
    (child,) = runs_of(store, f"tags.`zslbench.cell_id` = '{records[0].cell.id}'")
    client_of(store).update_run(child.info.run_id, status="RUNNING")  # as a killed process leaves it
    assert sync(store) == {"updated": 1, "created": 3}
    assert {run.info.status for run in runs_of(store)} == {"FINISHED", "FAILED"}


def test_children_whose_parent_was_deleted_get_a_new_one(store):
    sync(store)
    client_of(store).delete_run(parent_of(store, "ridge").info.run_id)
    assert sync(store) == {"unchanged": 4}
    parent = parent_of(store, "ridge")
    children = runs_of(store, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert len(children) == 2


def test_tables_and_pictures_are_logged_once_for_each_row(store):
    sync(store)
    files = sorted(path.name for path in (store.root / "mlartifacts").rglob("*.*"))
    assert files == ["confusion.png", "leaderboard.csv", "leaderboard.html", "leaderboard.md"]
    experiment = client_of(store).get_experiment_by_name(EXPERIMENT)
    assert "| ridge" in experiment.tags["mlflow.note.content"]


def parents_of(store):
    return {run.info.run_name: run for run in runs_of(store, "tags.`zslbench.parent` = 'true'")}


def test_a_parameter_of_a_row_is_one_in_mlflow_if_it_differs_between_the_rows_of_its_method(tmp_path, empty_mlflow):
    made = [fake_record("ridge", params={"alpha": a, "folds": 3}) for a in (1.0, 10.0)] + [fake_record("eszsl")]
    store = fake_store(tmp_path / "runs", made[:1] + made[2:])
    shutil.copy(empty_mlflow, store.root)
    sync(store)
    assert not any("set." in key for run in parents_of(store).values() for key in run.data.params)
    store.write(made[1].cell, made[1].result)
    tracker = Tracker(store)
    tracker.project(made[1])  # only the new row is projected; the old one of its method gets the parameter, too
    tracker.finish()
    found = {run.data.tags.get("set.ridge.alpha"): run.data.params for run in parents_of(store).values()}
    own = {alpha: {k: v for k, v in given.items() if k.startswith("set.")} for alpha, given in found.items()}
    assert own == {"1.0": {"set.ridge.alpha": "1.0"}, "10.0": {"set.ridge.alpha": "10.0"}, None: {}}


def test_a_name_has_the_class_vectors_only_where_rows_have_others(tmp_path, empty_mlflow):
    made = [
        fake_record("ridge"),
        fake_record("eszsl"),
        fake_record("ridge", semantics="word2vec", semantics_digest="w"),
    ]
    store = fake_store(tmp_path / "runs", made[:2])
    shutil.copy(empty_mlflow, store.root)
    sync(store)
    assert set(parents_of(store)) == {"ridge", "eszsl"}
    store.write(made[2].cell, made[2].result)
    sync(store)
    assert set(parents_of(store)) == {"ridge | minilm", "eszsl | minilm", "ridge | word2vec"}


def test_the_headline_and_its_interval_come_first(store):
    sync(store)
    (view,) = (e.tags[VIEW_TAG] for e in client_of(store).search_experiments() if VIEW_TAG in e.tags)
    columns = ["top1", "top1_low", "top1_high", "n_splits"]
    assert json.loads(view)["columnOrder"][1:5] == [f"metrics.`{name}`" for name in columns]
    with closing(sqlite3.connect(store.root / DATABASE)) as connection:  # in the order in which MLflow's plot has them
        run = parent_of(store, "ridge").info.run_id
        written = connection.execute("SELECT key FROM latest_metrics WHERE run_uuid = ? ORDER BY rowid", (run,))
        assert [key for (key,) in written][:4] == columns


def as_before(store):
    """Rewrite what MLflow has as zslbench 0.1 did: without a form, and with the parameters of the method."""
    client = client_of(store)
    for name, run in parents_of(store).items():
        client.delete_tag(run.info.run_id, FORM)
        client.log_param(run.info.run_id, "method.alpha", "1.5")
        client.log_metric(run.info.run_id, "low", 0.1)
        client.update_run(run.info.run_id, name=f"{name} | minilm | xu-50/50")
    (experiment,) = (e for e in client.search_experiments() if VIEW_TAG in e.tags)
    client.set_experiment_tag(experiment.experiment_id, VIEW_TAG, "{}")
    (board,) = runs_of(store, "tags.`zslbench.leaderboard` = 'true'")
    client.set_tag(board.info.run_id, RESULT_DIGEST, "of before")


def test_sync_brings_an_older_store_to_the_new_names_without_a_second_run_of_a_row(store):
    sync(store)
    as_before(store)
    children = {run.info.run_id for run in runs_of(store, "tags.`zslbench.state` != ''")}
    assert sync(store) == {"unchanged": 4, "renewed": 2}
    assert len(runs_of(store)) == 7
    found = parents_of(store)
    assert set(found) == {"ridge (alpha=1.5)", "eszsl"}
    assert not {"low", "method.alpha"} & {
        key for run in found.values() for key in (*run.data.metrics, *run.data.params)
    }
    ids = {run.info.run_id for run in found.values()}
    moved = runs_of(store, "tags.`zslbench.state` != ''")
    assert {run.info.run_id for run in moved} == children
    assert {run.data.tags["mlflow.parentRunId"] for run in moved} == ids
    experiment = client_of(store).get_experiment_by_name(EXPERIMENT)
    assert "columnOrder" in experiment.tags[VIEW_TAG]
    assert sync(store) == {"unchanged": 4}


def test_simulated_features_are_loud(tmp_path, empty_mlflow):
    store = fake_store(tmp_path, [fake_record(simulated=True, features="simulated")])
    shutil.copy(empty_mlflow, tmp_path)
    sync(store)
    for run in runs_of(store):
        assert run.info.run_name.startswith("SIMULATED ")
        assert run.data.tags["zslbench.simulated"] == "true"


def test_many_metrics_and_long_values_respect_the_limits(tmp_path, empty_mlflow, monkeypatch):
    from mlflow.tracking import MlflowClient

    epochs = [{f"metric {i}": 1.0 for i in range(30)} for _ in range(70)]
    values = {f"p{i}": i for i in range(150)} | {"long": "x" * 9000, "features": "hidden"}
    store = fake_store(tmp_path, [fake_record("alien", params=values, epochs=epochs)])
    shutil.copy(empty_mlflow, tmp_path)
    sizes = []
    log_batch = MlflowClient.log_batch

    def counted(self, run_id, metrics=(), params=(), tags=(), **options):
        sizes.append((len(metrics), len(params), len(tags)))
        return log_batch(self, run_id, metrics, params, tags, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    assert sync(store) == {"created": 1}
    assert all(m + p + t <= 1000 and p <= 100 and t <= 100 for m, p, t in sizes)
    assert sum(m for m, _, _ in sizes) > 2100
    parent = parent_of(store, "alien")
    assert len(parent.data.tags["set.alien.long"]) == 5000
    assert parent.data.params["features"] == "c3d"
    assert parent.data.tags["set.alien.features"] == "hidden"
    assert parent.data.tags["set.alien.p149"] == "149"


def test_names_and_values_that_mlflow_refuses_are_mended_or_left_out():
    assert metric_name("val(h)@5 %") == "val_h__5 _"
    record = fake_record(metrics={"bad": float("nan")}, epochs=[{"loss": float("inf"), "ok": 1.0}])
    names = {point.key for point in child_content(record, "parent", {}).points}
    assert "epoch/ok" in names
    assert not {"bad", "epoch/loss"} & names
    assert settings(fake_record("ridge", params={"none": None, "list": [1]}).cell) == {
        "set.ridge.none": "none",
        "set.ridge.list": "[1]",
    }


@given(
    st.text(st.characters(exclude_categories=()), max_size=300) | st.sampled_from([*NAMES.values(), *UNSEEN.values()])
)
def test_a_name_of_a_metric_is_one_that_mlflow_takes_and_a_text_fits_its_database(name):
    made = metric_name(f"epoch/{name}")
    assert re.fullmatch(r"[\w\-. :/]{1,250}", made, re.ASCII)
    assert posixpath.normpath(made) == made != ".."
    text = mlflow_text(name, 250)
    assert len(text) <= 250
    text.encode("utf-8")


def test_hostile_names_and_messages_are_projected_as_text(tmp_path, empty_mlflow):
    hostile = "\0 <b>x</b> \x1b[31m " + "long " * 3000
    record = fake_record(
        "ridge", params={"value": hostile}, epochs=[{"../x": 1.0, "a//b": 2.0, "": 3.0}], semantics="w" * 600,
        features="f" * 200, family="r" * 400,
    )  # fmt: skip
    failed = fake_record("ridge", 1, state=State.FAILED, semantics="w" * 600, features="f" * 200, family="r" * 400)
    failure = Failure(type="E", message=f"\udcff {hostile}")
    failed = Record(failed.cell, failed.result.model_copy(update={"failure": failure}))
    for each in (record, failed):
        content = child_content(each, "parent", {})
        assert max(map(len, content.tags.values())) <= 5000
        assert "\\<b\\>" in content.tags.get("mlflow.note.content", "\\<b\\>")
        shown = params(each.cell, differences([each.cell, failed.cell]))
        assert max(map(len, shown.values())) <= 6000
        assert all(value.isprintable() for value in shown.values())
    store = fake_store(tmp_path / "runs", [record])
    shutil.copy(empty_mlflow, store.root)
    assert sync(store) == {"created": 1}


def test_the_folder_of_an_experiment_with_long_names_can_be_made(tmp_path):
    first, second = (artifacts_folder(f"zslbench/{'x' * 200}@{'y' * 199}{end}/zsl") for end in "ab")
    (tmp_path / first).mkdir()
    assert first != second
    assert artifacts_folder("zslbench/hmdb51@c3d/zsl") == "zslbench--hmdb51@c3d--zsl"


def test_a_server_that_is_away_fails_fast_with_one_sentence(store, monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    started = time.perf_counter()
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9") as caught:
        Tracker(store, "http://127.0.0.1:9")
    assert time.perf_counter() - started < 60  # MLflow's own retries would take minutes
    where = "no MLflow server answers at http://127.0.0.1:9"
    assert str(caught.value) == f"{where}; start the server, or check its address."


def test_only_the_own_database_goes_without_disk_syncs(tmp_path, store, empty_mlflow):
    sync(store)
    shutil.copy(empty_mlflow, tmp_path / "other.db")
    own = Tracker(store)._client._tracking_client.store.engine
    other = Tracker(store, f"sqlite:///{tmp_path / 'other.db'}")._client._tracking_client.store.engine
    with own.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 0
    with other.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert sqlite3.connect(store.root / "mlflow.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_damaged_database_is_told_at_once(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(TrackingError, match="mlflow.db is damaged.*delete it"):
        Tracker(Store(tmp_path))
    with pytest.raises(TrackingError, match="mlflow.db is damaged.*delete it. 'zslbench track sync' makes it again"):
        check_database(tmp_path)


@pytest.mark.slow
def test_a_half_made_database_is_set_aside_and_made_again_from_the_store(tmp_path, records):
    store = fake_store(tmp_path / "runs", records)
    with sqlite3.connect(store.root / DATABASE) as connection:  # as kill -9 leaves it while MLflow migrates
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("CREATE TABLE _alembic_tmp_experiments (id)")
    connection.close()
    tracker = Tracker(store)
    assert "mlflow.db was half-made" in tracker.set_aside
    assert len(list(store.root.glob("mlflow.db.half-made-*"))) == 1
    assert tracker.project_missing([]) == 4  # the database is new, so all that is stored counts
    tracker.finish()
    assert len(runs_of(store)) == 7
    assert Tracker(store).set_aside == ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_database_that_cannot_be_made_takes_no_space(tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as on a full disk
    try:
        with pytest.raises(TrackingError, match="refused"):
            Tracker(Store(tmp_path / "runs"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "runs").glob("*mlflow.db*")) == []
    opened = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert [name for name in opened if str(tmp_path) in name] == []


def test_the_last_of_a_disk_is_left_for_cells(store, records, monkeypatch):
    tracker = Tracker(store)
    tracker.project(records[0])
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=300 << 10))
    says = "300 KiB are free in .*, and the last 16 MiB are left for cells; free some space."
    for write in (lambda: Tracker(store), lambda: tracker.project(records[1]), tracker.finish):
        with pytest.raises(TrackingError, match=says):
            write()


def test_only_what_is_missing_of_the_plan_is_projected(store, records):
    tracker = Tracker(store)
    tracker.project(records[0])
    assert tracker.project_missing([record.cell for record in records[:3]]) == 2
    tracker.finish()
    assert is_complete(store, [record.cell for record in records[:3]], None)
    assert not is_complete(store, [records[3].cell], None)


def test_a_run_that_was_killed_before_its_end_is_not_complete(store, records):
    Tracker(store).project(records[0])
    assert not is_complete(store, [records[0].cell], None)


def test_two_trackers_that_take_turns_write_no_run_twice(store, records):
    one, other = Tracker(store), Tracker(store)
    for record in records:
        one.project(record)
        other.project(record)
    one.finish()
    other.finish()
    assert (one.counts, other.counts) == ({"created": 4}, {"unchanged": 4})
    assert len(runs_of(store)) == 7


def test_a_database_that_is_in_use_is_one_sentence(store, monkeypatch):
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.1))
    with closing(sqlite3.connect(store.root / DATABASE)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingError, match="is in use by another program; close that program"):
            Tracker(store)
