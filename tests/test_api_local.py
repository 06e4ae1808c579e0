"""Methods without a package: classes and instances that zslbench.run gets."""

import linecache
import textwrap

import pytest
from local_methods import Broken, Nearest
from tiny import make_features, plan

import zslbench as zb
from zslbench.cells.cell import Cell
from zslbench.cells.source import is_interactive, source_digest
from zslbench.cells.store import Store
from zslbench.errors import ZslbenchError
from zslbench.registry import METHODS

SMALL = {"dataset": "hmdb51", "features": "tiny", "splits": 1, "progress": False, "results": "runs"}
NOTEBOOK_CELL = """
import zslbench as zb

def helper(x):
    return FACTOR * x

class Mine(zb.Method):
    info = zb.MethodInfo(name="mine", summary="Scores of a notebook.")

    def fit(self, seen, classes, target, report):
        'Learn nothing.'

    def score(self, videos, classes):
        return helper(videos.pooled()[:, :1]) * classes.vectors[:, 0]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    make_features(per_class=3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zslbench.run.execution.SUPPORTED", False)
    return tmp_path / "runs"


def in_notebook(text, **names):
    """Return the names that a notebook's cell defines: its file is known to linecache only, its module is __main__."""
    text = textwrap.dedent(text)
    place = f"/tmp/ipykernel_1/{abs(hash(text))}.py"
    linecache.cache[place] = len(text), None, text.splitlines(keepends=True), place
    found = {"__name__": "__main__"} | names
    exec(compile(text, place, "exec"), found)
    return found


def test_a_local_class_and_instances_have_rows_marked_local_in_every_table(folder, zslbench):
    found = zb.run(["random", Nearest, Nearest({"neighbours": 1}), "nearest+csls"], **SMALL)
    local = {"nearest [local]", "nearest (neighbours=1) [local]", "nearest+csls [local]"}
    assert set(found.leaderboard()["method"]) == local | {"random"}
    assert set(found.cells["method"]) == local | {"random"}
    assert not METHODS.is_local("nearest")
    code, out, _ = zslbench("leaderboard", "--results", folder, "--format", "csv")
    assert code == 0
    assert all(f"{name}," in out for name in local)
    assert "nearest (neighbours=1) [local]" in zslbench("results", "list", "--results", folder)[1]


@pytest.mark.parametrize(
    "verb",
    [
        ("audit",), ("compare",), ("compare", "nearest", "random"), ("results", "verify"), ("results", "rescore"),
        ("results", "export", "b.zip"), ("leaderboard", "--published"), ("leaderboard", "--format", "html"),
    ],
)  # fmt: skip
def test_every_verb_reads_a_folder_with_local_cells(zslbench, verb):
    zb.run(["random", Nearest, Broken], **SMALL, keep_scores=True)
    code, _, err = zslbench(*verb, "--results", "runs")
    assert code in (0, 1), err
    assert "Traceback" not in err


def test_the_saved_model_of_a_local_method_says_what_it_needs(folder, zslbench):
    found = zb.run(Nearest, **SMALL, save_model=True)
    model = found.cells["cell"][0]
    code, _, err = zslbench("predict", model, "--dataset", "hmdb51", "--features", "tiny", "--results", folder)
    assert (code, err.count("\n")) == (2, 1)
    assert "no method is called 'nearest'." in err
    assert "Make a package of it" in err


def test_other_cells_keep_their_json_and_ids():
    (cell,) = plan(method="random", splits="1")
    assert "local" not in cell.model_dump()
    assert "local" not in cell.model_dump_json()
    local = cell.model_copy(update={"local": True})
    assert '"local":true' in local.model_dump_json()
    assert Cell.model_validate_json(local.model_dump_json()) == local
    assert Cell.model_validate(local.model_dump()).id != cell.id


def test_a_name_that_is_installed_too_is_refused_with_the_remedy(folder):
    class Ridge(Nearest):
        info = zb.MethodInfo(name="ridge", summary="Another one.")

    class Spaced(Nearest):
        info = zb.MethodInfo(name="my idea", summary="A space.")

    class Second(Nearest):
        info = zb.MethodInfo(name="nearest", summary="The name of the other one.")

    with pytest.raises(ZslbenchError, match="an installed method is called 'ridge', too; give yours another name"):
        zb.run(Ridge, **SMALL)
    with pytest.raises(ZslbenchError, match="'my idea' has one of '\\+:@ ' in its name"):
        zb.run(Spaced, **SMALL)
    with pytest.raises(ZslbenchError, match="two of the classes are called 'nearest'"):
        zb.run([Nearest, Second], **SMALL)
    assert not folder.exists()


def test_a_class_of_a_file_runs_once_and_its_digest_is_that_of_its_module():
    assert not is_interactive(Nearest)
    first = zb.run(Nearest, **SMALL).cells
    stamp = Store(zb.results("runs")._store.root).stamp(first["cell"][0])
    assert zb.run(Nearest, **SMALL)._store.stamp(first["cell"][0]) == stamp


def test_a_class_of_a_notebook_always_runs_again_because_its_helpers_are_not_in_its_digest():
    one, two = in_notebook(NOTEBOOK_CELL, FACTOR=1.0), in_notebook(NOTEBOOK_CELL, FACTOR=-1.0)
    assert is_interactive(one["Mine"])
    assert source_digest(one["Mine"]) == source_digest(two["Mine"])
    before, after = (zb.run(each["Mine"], **SMALL).predictions("mine") for each in (one, two))
    assert (before["predicted"] != after["predicted"]).any()


def test_the_digest_of_a_notebooks_class_changes_with_its_code_and_not_with_its_comments():
    digest = source_digest(in_notebook(NOTEBOOK_CELL)["Mine"])
    assert source_digest(in_notebook(NOTEBOOK_CELL.replace("'Learn nothing.'", "pass  # nothing"))["Mine"]) == digest
    assert source_digest(in_notebook(NOTEBOOK_CELL.replace("[:, 0]", "[:, 1]"))["Mine"]) != digest
    below = NOTEBOOK_CELL + "\nclass Below(Mine):\n    info = zb.MethodInfo(name='below', summary='x')\n"
    below += "    def fit(self, seen, classes, target, report): pass\n"
    changed = below.replace("[:, 0]", "[:, 1]")
    assert source_digest(in_notebook(below)["Below"]) != source_digest(in_notebook(changed)["Below"])


def test_a_class_without_source_is_refused_in_one_sentence(folder):
    made = type("Made", (Nearest,), {"info": zb.MethodInfo(name="made", summary="By type().")})
    with pytest.raises(ZslbenchError, match="the source of the class Made is nowhere.*define it in a notebook's cell"):
        zb.run(made, **SMALL)


def test_instances_of_one_class_are_variants_and_the_note_on_luck_is_printed(capsys):
    zb.run([Nearest, Nearest({"neighbours": 1})], **SMALL | {"progress": True})
    assert "the best variant on unseen classes is partly luck" in capsys.readouterr().err
    zb.run(Nearest({"neighbours": 1}), **SMALL | {"progress": True})
    assert "partly luck" not in capsys.readouterr().err
