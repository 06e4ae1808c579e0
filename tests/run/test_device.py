"""The device is an option of the run: every engine hands it on, results record it, and no row depends on it."""

import json
import types

import pytest
from fakes import fake_record
from plugins import install
from tiny import make_features, plan

from zslbench.cells.rows import current_rows
from zslbench.cells.store import Store
from zslbench.compute import Offer, computing_on
from zslbench.errors import ZslbenchError
from zslbench.method import Report
from zslbench.registry import get_method
from zslbench.run import engine
from zslbench.run.engine import Watcher, run_inline
from zslbench.run.models import load_model
from zslbench.run.probe import Questions, answers
from zslbench.run.queue import CellQueue
from zslbench.run.runner import fitted_model, run_cell
from zslbench.run.supervised import Worker, run_supervised

ASKS = """
import numpy as np
from zslbench.method import Method, MethodInfo


class Asks(Method):
    info = MethodInfo(name="asks", summary="Notes its device.")

    def fit(self, seen, classes, target, report):
        report.note(device=self.device)

    def score(self, videos, classes):
        return videos.pooled()[:, :1] * np.arange(1, len(classes) + 1)
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store, the method that notes its device, and a machine that seems to have every device."""
    make_features(per_class=3)
    monkeypatch.syspath_prepend(install(tmp_path / "plugins", "asking", ASKS, {"asks": "asking:Asks"}))
    monkeypatch.setattr(Offer, "missing", "")
    store = Store(tmp_path / "runs")
    store.prepare()
    return store


def recorded(store):
    """Return what each cell's method was offered, and the device that the cell records."""
    records = store.records()
    environments = [json.loads((store.path(r.cell.id) / "environment.json").read_text()) for r in records]
    return [(r.result.notes.get("device"), e["device"]) for r, e in zip(records, environments, strict=True)]


def inline(queue):
    run_inline(queue, Watcher())


def supervised(queue):
    with Worker() as worker:
        run_supervised(queue, Watcher(), worker)


def in_a_dask_worker(queue, monkeypatch):
    monkeypatch.setattr("distributed.get_worker", lambda: types.SimpleNamespace(log_event=lambda *_: None))
    launcher = types.SimpleNamespace(
        watcher=Watcher(), store=queue.store, running={}, team=types.SimpleNamespace(memory=lambda address: 0),
        client=types.SimpleNamespace(submit=lambda function, *given, **_: function(*given)),
    )  # fmt: skip
    for claim in queue.claims():
        engine._Launcher._submit(launcher, claim, "here")
        claim.release(stored=True)


@pytest.mark.parametrize("run", [inline, supervised, in_a_dask_worker])
def test_every_engine_hands_the_device_on(run, store, monkeypatch):
    more = (monkeypatch,) if run is in_a_dask_worker else ()
    with computing_on("mps"):
        run(CellQueue(plan(method="asks", splits="1"), store), *more)
    assert recorded(store) == [("mps", "mps")]


def test_a_method_that_asks_for_no_device_ran_on_the_processor(store):
    with computing_on("mps"):
        inline(CellQueue(plan(method="ridge", splits="1"), store))
    assert recorded(store) == [(None, "cpu")]


def test_the_device_makes_no_other_cell(zslbench, store):
    def run(device):
        return zslbench("run", "--method", "asks", "--dataset", "hmdb51", "--splits", "1", "--device", device,
                        "--no-track", "--results", store.root)  # fmt: skip

    assert run("mps")[0] == 0
    assert "1 kept from before, 0 to run" in run("cpu")[2]
    assert recorded(store) == [("mps", "mps")]


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("verb", ["run", "check"])
def test_without_the_device_a_command_is_refused_before_any_work(zslbench, tmp_path, device, verb):
    words = {"run": ("--method", "devise", "--dataset", "hmdb51", "--results", tmp_path / "runs"), "check": ("devise",)}
    code, out, err = zslbench(verb, *words[verb], "--device", device)
    assert (code, out) == (2, "")
    assert f"leave out --device {device}, or use --device cpu." in err
    assert not (tmp_path / "runs").exists()


def test_a_worker_without_the_device_gets_no_cell(tmp_path):
    make_features(per_class=3)
    store = Store(tmp_path / "runs")
    with computing_on("cuda"):
        questions = Questions(plan(method="ridge", splits="1"), store)
    with questions.marked(), computing_on("auto"):
        assert questions.reason(answers(questions.asked)) == (
            "torch finds no CUDA GPU here; leave out --device cuda, or use --device cpu"
        )


@pytest.mark.parametrize("target", ["devise", "devise:preset", "dem+nrm"])
def test_the_former_parameter_names_the_option(target, monkeypatch):
    monkeypatch.setattr(get_method("devise"), "presets", {"preset": {}})
    make_features(per_class=3)
    with pytest.raises(ZslbenchError, match=r"no parameter 'device': .* give --device cpu, cuda or mps\."):
        plan(method=target, set={target: {"device": "cuda"}})


def test_older_rows_name_a_device_that_was_chosen_and_not_the_default():
    records = [
        fake_record("devise", params={**get_method("devise").Params().model_dump(mode="json"), "device": device})
        for device in ("auto", "cuda")
    ]
    assert sorted(row.name for row, _ in current_rows(records)[0]) == ["devise", "devise (device=cuda)"]


def test_models_that_were_saved_with_a_device_still_load(tmp_path):
    make_features(per_class=3)
    (cell,) = plan(method="devise", splits="1", set={"devise": {"epochs": 1, "min_batches": 1}})
    model = fitted_model(cell, Store(tmp_path / "runs"))
    card = model.folder / "model.json"
    saved = json.loads(card.read_text())
    saved["cell"]["params"]["device"] = "cuda"
    card.write_text(json.dumps(saved))
    assert load_model(model.folder).method.state().keys() == model.method.state().keys()


def test_a_cell_that_failed_records_its_device_too(store, monkeypatch):
    (cell,) = plan(method="asks", splits="1")
    monkeypatch.setattr(get_method("asks"), "score", lambda *_: 1 / 0)
    with computing_on("mps"):
        run_cell(cell, store, Report())
    assert json.loads((store.path(cell.id) / "environment.json").read_text())["device"] == "mps"
