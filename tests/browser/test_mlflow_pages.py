"""MLflow's own pages, in a real browser, on what zslbench projects into it."""

import json
import sys
from urllib.parse import quote

import pytest
from fakes import fake_record, fake_store
from servers import free_port, mlflow_server, serving, stop
from tiny import make_features, plan

pytestmark = pytest.mark.slow

# Of five classes: fewer have no interval.
METHODS = {"ridge": (8, 5, 2, 4, 6), "eszsl": (4, 3, 1, 2, 5), "devise": (6, 6, 6, 6, 6)}


def three_methods(root):
    records = [
        fake_record(method, split=split, top1=top1, params={"alpha": alpha})
        for alpha, (method, top1) in enumerate(METHODS.items())
        for split in range(2)
    ]
    return fake_store(root / "runs", records).root


@pytest.fixture(params=["zslbench ui", "mlflow server"])
def served(request, tmp_path, zslbench):
    """Yield the address and the experiment's address: over our database, and on a server with its own."""
    results, port = three_methods(tmp_path), free_port()
    address = f"http://127.0.0.1:{port}"
    if request.param == "zslbench ui":
        assert zslbench("track", "sync", "--results", results)[0] == 0
        ui = ["-c", "from zslbench.cli import main; main()", "ui", "--results", str(results), "--port", str(port)]
        with serving([sys.executable, *ui], address):
            yield address
    else:
        with serving(mlflow_server(tmp_path, port), address):
            assert zslbench("track", "sync", "--results", results, "--tracking-uri", address)[0] == 0
            yield address


@pytest.fixture
def client(served, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    return MlflowClient(served)


@pytest.fixture
def experiment(client):
    return client.get_experiment_by_name("zslbench/hmdb51@c3d/zsl").experiment_id


_WHOLE = "[...document.querySelectorAll('.ag-cell a')].every(name => name.scrollWidth <= name.clientWidth + 1)"


def columns(page):
    """Return the names of the columns from left to right."""
    heads = page.locator(".ag-header-cell").all()
    places = [(head.bounding_box()["x"], head.inner_text().strip()) for head in heads if head.is_visible()]
    return [name for _, name in sorted(places) if name]


def test_ui_opens_its_rows_also_from_mlflows_list_and_no_assistant(tmp_path, zslbench, page):
    results, port = three_methods(tmp_path), free_port()
    assert zslbench("track", "sync", "--results", results)[0] == 0
    address = f"http://127.0.0.1:{port}"
    ui = ["-c", "from zslbench.cli import main; main()", "ui", "--results", str(results), "--port", str(port)]
    page.set_viewport_size({"width": 1440, "height": 900})
    with serving([sys.executable, *ui], address):
        page.goto(address)
        page.get_by_text("3 matching runs").wait_for()
        page.get_by_role("link", name="Experiments").first.click()
        page.wait_for_url("**/experiments")
        page.get_by_role("link", name="zslbench/hmdb51@c3d/zsl").nth(1).click()  # the first one is in the sidebar
        page.wait_for_url("**/runs*")
        page.get_by_text("3 matching runs").last.wait_for()
        assert columns(page)[:6] == ["Run Name", "Created", "top1", "top1_low", "top1_high", "n_splits"]
        page.evaluate("for (const key in localStorage) if (key.includes('ExperimentPage')) localStorage[key] = '{}'")
        page.goto("about:blank")
        page.goto(address)  # as after a visit to another results folder, whose experiments have the same ids
        page.get_by_text("3 matching runs").wait_for()
        assert "family" in columns(page)  # the last one that a window of 1440 shows
        assert not any(each.is_visible() for each in page.locator("[data-assistant-ui]").all())
        assert page.evaluate(
            "[...document.querySelectorAll('.ag-cell a')].every(a => a.scrollWidth <= a.clientWidth + 1)"
        )
        for row in range(3):
            page.locator(".ag-pinned-left-cols-container [role=row]").nth(row).locator(".ag-selection-checkbox").click()
        page.get_by_role("button", name="Compare").click()
        page.locator(".parcoords").wait_for()
        assert page.locator(".parcoords .axis-title").all_text_contents() == ["method", "top1"]
        page.get_by_text("Model training").wait_for()


def runs_of(client, experiment, filter_string):
    return {run.info.run_name: run.info.run_id for run in client.search_runs([experiment], filter_string)}


def test_pages_list_parents_with_metrics_compare_them_and_open_children_and_files(served, client, experiment, page):
    from zslbench.tracking.view import experiment_address

    page.goto(experiment_address(served, experiment))
    page.get_by_text("3 matching runs").wait_for()  # parents only, no child and no leaderboard run
    for column in ("top1", "top1_low", "top1_high", "n_splits"):
        page.get_by_role("columnheader", name=column, exact=True).first.wait_for()
    for method in METHODS:
        page.get_by_role("link", name=f"{method} (alpha").first.wait_for()
    assert columns(page)[:6] == ["Run Name", "Created", "top1", "top1_low", "top1_high", "n_splits"]
    page.get_by_role("gridcell", name=f"{30 / 50}", exact=True).first.wait_for()  # devise's top1

    parents = runs_of(client, experiment, "tags.`zslbench.parent` = 'true'")
    ids, within = quote(json.dumps(list(parents.values()))), quote(json.dumps([experiment]))
    page.goto(f"{served}/#/compare-runs?runs={ids}&experiments={within}")
    page.locator(".parcoords").wait_for()
    assert page.locator(".parcoords .axis").count() >= 2
    assert "Comparing 3 Runs" in page.inner_text("body")

    name, parent = next(iter(parents.items()))
    page.goto(f"{served}/#/experiments/{experiment}/runs/{parent}")
    page.get_by_text("Child runs", exact=True).wait_for()
    page.get_by_text("split 1, seed 0").first.click()
    page.get_by_text("Parent run", exact=True).first.wait_for()
    page.get_by_text("Seen-Train").or_(page.get_by_text("seen-train")).first.wait_for()
    assert name in page.inner_text("body")

    board = runs_of(client, experiment, "tags.`zslbench.leaderboard` = 'true'")
    page.goto(f"{served}/#/experiments/{experiment}/runs/{next(iter(board.values()))}/artifacts")
    page.get_by_text("leaderboard.csv").first.click()
    page.get_by_text("ridge").first.wait_for()


def test_a_server_that_goes_away_in_mid_run_and_comes_back_is_completed_by_sync(tmp_path, zslbench, capsys):
    from mlflow import MlflowClient

    from zslbench.cells.store import Store
    from zslbench.run.engine import Watcher, run_inline
    from zslbench.run.queue import CellQueue
    from zslbench.tracking.projection import projection

    make_features(per_class=3)
    cells = plan(method=["ridge", "random"], splits="3")
    store, port = Store(tmp_path / "runs"), free_port()
    address = f"http://127.0.0.1:{port}"
    store.prepare()

    class Leaving(Watcher):
        done = 0

        def finished(self, cell, result):
            self.done += 1
            if self.done == 3:
                stop(server)
            project(cell, result)

    queue = CellQueue(cells, store)
    with (
        serving(mlflow_server(tmp_path, port), address) as server,
        projection(cells, queue, address, wanted=True) as project,
    ):
        run_inline(queue, Leaving())
    assert "MLflow cannot be reached" in capsys.readouterr().err
    assert sum(record.result.state == "done" for record in store.records()) == 6

    def children(client):
        experiment = client.get_experiment_by_name("zslbench/hmdb51@tiny/zsl").experiment_id
        return [r for r in client.search_runs([experiment]) if "zslbench.cell_id" in r.data.tags]

    with serving(mlflow_server(tmp_path, port), address):
        assert len(children(MlflowClient(address))) < 6
        code, _, _ = zslbench("track", "sync", "--results", store.root, "--tracking-uri", address)
        assert code == 0
        made = children(MlflowClient(address))
        assert {run.data.tags["zslbench.cell_id"] for run in made} == {cell.id for cell in cells}
        assert {run.info.status for run in made} == {"FINISHED"}
