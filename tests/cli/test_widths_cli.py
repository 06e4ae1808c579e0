"""Every verb fits a terminal of 80 and of 100 columns; what programs read does not depend on the width."""

import io
import json
import shlex

import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from rich.console import Console
from wordnet_here import wordnet_path  # noqa: F401 - a fixture

from zslbench.cli import _VERBS, cli
from zslbench.tables.progress import progress_bar

KEY = 32  # the most characters before a value: a path that is longer than the rest stays in one piece
LONG = "a-method-of-a-long-name (alpha=0.1, beta=3) [local]"
VERBS = """
leaderboard --results RUNS
leaderboard --results RUNS --explain --mix-budgets
leaderboard --results RUNS --published
leaderboard --results RUNS --published --explain
compare --results RUNS
compare ridge conse random --results RUNS --explain --nadeau-bengio
ledger
ledger --explain --system SAV
ledger action2vec
methods
methods action2vec
methods ridge+nrm
datasets
datasets hmdb51
datasets kinetics700
datasets lists hmdb51 --sources
features list
features show hmdb51 simulated
features verify
features catalog
features catalog ucf101
splits
splits ucf101
splits ucf101 xu-50/50
splits show ucf101 xu-50/50 0
splits filter ucf101 --rule truze-v1 --against kinetics400
splits verify
protocols
protocols 50/50
protocols xu-50/50-first-30
why action2vec-dual-loss@hmdb51:50/50 ridge --results RUNS
audit --results RUNS
audit --features-only hmdb51@simulated
results list --results RUNS
results show CELL --results RUNS
results verify --results RUNS
results rescore --results RUNS
results rescore --results RUNS --explain
models --results RUNS
predict CELL --results RUNS
semantics list
semantics show minilm
semantics show minilm --dataset ucf101
texts list
texts show hmdb51
extract --list-backbones
check --list
semantic-tests arithmetic --dataset hmdb51
embeddings query VECTORS 'clap - wave + run'
run --method ridge --dataset hmdb51 --splits 2 --results RUNS --no-track
run --method ridge --dataset hmdb51 --splits 2 --results RUNS --dry-run
"""
SLOW = """
tune ridge --dataset hmdb51 --results RUNS --trials 2 --no-track
check ridge
doctor --results RUNS
reproduce action2vec --quick --dataset hmdb51 --results OTHER --no-track
track sync --results RUNS
"""
# What prints no table, or only into a file, or needs videos or an encoder; tests of their own show what they print.
ELSEWHERE = {"report", "prompts", "embed", "show", "resources", "new-method", "ui", "cite", "site"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return the words that stand for what is stored: methods and variants of one, with models and scores."""
    root = tmp_path_factory.mktemp("w")
    words = {"RUNS": str(root / "runs"), "OTHER": str(root / "other"), "VECTORS": str(root / "vectors.kv")}
    run = f"run --dataset hmdb51 --splits 2 --results {words['RUNS']} --no-track --inline --save-model --keep-scores"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZSLBENCH_DATA_ROOT", str(root / "data"))
        for line in (
            f"{run} --method ridge --method conse --method random",
            f"{run} --method eszsl --set eszsl.gamma=1,10",
            f"embeddings export --dataset hmdb51 --out {words['VECTORS']}",
        ):
            done = CliRunner().invoke(cli, line.split())
            assert done.exit_code == 0, (line, done.output, done.exception)
    cell = min((root / "runs" / "models").glob("*/model.json")).parent.name
    return words | {"CELL": cell, "DATA": str(root / "data")}


@pytest.fixture
def printed(kept, monkeypatch):
    def run(line, width):
        monkeypatch.setenv("ZSLBENCH_DATA_ROOT", kept["DATA"])
        if width:
            monkeypatch.setenv("COLUMNS", str(width))
        done = CliRunner().invoke(cli, [kept.get(arg, arg) for arg in shlex.split(line)])
        assert done.exit_code == 0, (line, done.output, done.exception)
        assert done.stdout
        return done.stdout

    return run


def too_wide(text, width):
    """Return the lines that are too wide; a path or a command that a user copies stays in one piece."""
    wide = [line for line in text.splitlines() if cell_len(line) > width]
    return [
        line for line in wide
        if max(map(len, line.split())) <= width - KEY and not line.lstrip().startswith("zslbench ")
    ]  # fmt: skip


@pytest.mark.parametrize("line", VERBS.strip().splitlines())
def test_every_verb_fits_the_terminal(printed, line):
    for width in (80, 100):
        assert not too_wide(printed(line, width), width)


@pytest.mark.slow
@pytest.mark.parametrize("line", SLOW.strip().splitlines())
def test_every_slow_verb_fits_the_terminal(printed, line):
    for width in (80, 100):
        assert not too_wide(printed(line, width), width)


def test_semantic_tests_fit_the_terminal(printed, wordnet_path):  # noqa: F811
    for width in (80, 100):
        assert not too_wide(printed("semantic-tests wordnet --dataset hmdb51 --permutations 19", width), width)


def test_no_verb_is_left_out_here():
    tried = {line.split()[0] for line in f"{VERBS}{SLOW}".split("\n") if line}
    assert set(_VERBS) - ELSEWHERE == tried


@pytest.mark.parametrize(
    "line", ["leaderboard --results RUNS", "compare --results RUNS", "ledger", "methods", "datasets", "features list",
             "splits", "splits ucf101", "splits ucf101 xu-50/50", "results list --results RUNS", "methods ridge+nrm",
             "datasets hmdb51", "methods action2vec", "semantics list", "texts list"]
)  # fmt: skip
def test_json_and_csv_hold_everything_at_any_width(printed, line):
    for fmt in ("csv", "json"):
        whole = printed(f"{line} --format {fmt}", None)
        assert printed(f"{line} --format {fmt}", 40) == whole
        assert json.loads(whole) if fmt == "json" else "," in whole


def test_listings_as_json_have_values_not_texts(printed):
    datasets = {row["name"]: row for row in json.loads(printed("datasets --format json", 80))}
    assert (datasets["ucf101"]["classes"], datasets["ucf101"]["videos"]) == (101, 13320)
    assert datasets["hmdb51"]["features"] == ["simulated"]
    (features,) = json.loads(printed("features list --format json", 80))
    assert (features["dataset"], features["simulated"], features["dim"]) == ("hmdb51", True, 128)
    methods = {row["name"]: row for row in json.loads(printed("methods --format json", 80))}
    assert methods["action2vec"]["reads"] == "sequences"
    assert methods["nrm"]["kind"] == "step"


def test_a_run_ends_with_short_notes_and_keeps_its_warnings(printed):
    after = printed("run --method ridge --dataset hmdb51 --splits 2 --results RUNS --no-track", 80).split("\n\n")[-1]
    lines = after.splitlines()
    assert lines[0] == "SIMULATED FEATURES ([simulated]): these figures say nothing about real actions."
    assert len(lines) <= 4
    assert "--explain" in lines[-1]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_bar_count_and_time_left_stay_and_a_long_name_is_shortened_first(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    bars = progress_bar(console=console, auto_refresh=False)
    bars.add_task(f"  {LONG}", total=100, completed=40, rest=" on hmdb51@simulated zsl xu-50/50 #3: epoch 4")
    bars.add_task("動作" * 60, total=100, completed=40)
    console.print(bars.get_renderable())
    for line in console.file.getvalue().splitlines():
        assert cell_len(line) <= width
        assert "━━" in line
        assert "40/100" in line
        assert line.rstrip().endswith("-:--:--")
    assert "#3: epoch 4" in console.file.getvalue()
    assert "  a-method-o" in console.file.getvalue()
