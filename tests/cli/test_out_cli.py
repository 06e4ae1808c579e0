"""``--out FILE``: the suffix is the format, for every verb that prints a table."""

import csv
import html.parser
import io
import json

import pytest
from fakes import fake_record, fake_store
from tables.latex_read import cells, check_latex, rows, tables
from tiny import make_features

NAMES = tuple(f"class {i}" for i in range(8))
NASTY = "a_b & 50% <i>c</i> #{1} ~^\\"
VERBS = {
    "leaderboard": ["leaderboard"], "compare": ["compare"], "ledger": ["ledger", "--dataset", "hmdb51"],
    "methods": ["methods"], "method": ["methods", "ridge"], "datasets": ["datasets"], "dataset": ["datasets", "hmdb51"],
    "features": ["features", "list"], "splits": ["splits"], "family": ["splits", "hmdb51", "xu-50/50"],
    "semantics": ["semantics", "list"], "texts": ["texts", "list"],
    "results": ["results", "list"], "audit": ["audit"], "protocols": ["protocols"],
    "catalog": ["features", "catalog"],
    "why": ["why", "sync@hmdb51:truze-v1", "ridge"],
}  # fmt: skip
WITH_RESULTS = ("leaderboard", "compare", "results", "audit", "why")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    shares = {"ridge": 40, "eszsl": 30, "devise": 60, "random": 70}
    budgets = {"random": (), "devise": ("class-vectors", "unseen-videos")}
    records = [
        fake_record(method, split, names=NAMES, scored=(100,) * 8, top1=tuple(share + i for i in range(8)),
                    budget=budgets.get(method, ("class-vectors",)))
        for method, share in shares.items() for split in (0, 1)
    ]  # fmt: skip
    return fake_store(tmp_path_factory.mktemp("out") / "runs", records).root


def command(verb, results):
    return [*VERBS[verb], *(["--results", results] if verb in WITH_RESULTS else [])]


class Tables(html.parser.HTMLParser):
    """Count the rows of the tables of a page."""

    def __init__(self, text):
        super().__init__()
        self.rows = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.rows += tag == "tr"


def check(fmt, text):
    """Assert that a file is what its suffix says, with a table."""
    if fmt == "tex":
        check_latex(text)
    elif fmt == "csv":
        read = list(csv.reader(io.StringIO(text)))
        assert len(read) > 1
        assert len({len(line) for line in read}) == 1
    elif fmt == "json":
        assert json.loads(text)
    elif fmt == "html":
        assert text.startswith("<!doctype html>")
        assert Tables(text).rows > 1
    else:
        assert "|---" in text or "| ---" in text or "|:--" in text or "###" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_suffix_of_every_verb_writes_its_format(verb, results, zslbench, tmp_path):
    if verb == "features":
        make_features()
    for suffix in ("tex", "csv", "md", "html", "json"):
        path = tmp_path / f"table.{suffix}"
        code, out, err = zslbench(*command(verb, results), "--out", path)
        assert (code, out) == (0, ""), err
        assert f"written to {path}" in err
        check(suffix, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--out", "t.xlsx"), "must end in .csv, .html, .json, .md or .tex"),
        (("--out", "t"), "must end in .csv"),
        (("--out", "t.tex", "--format", "csv"), "t.tex is latex by its suffix, and --format says csv"),
        (("--out", "t.csv", "--format", "console"), "t.csv is csv by its suffix"),
        (("--out", "absent/t.csv"), "cannot write"),
        (("--out", "t.csv", "--label", "tab:x"), "--label is for LaTeX only"),
        (("--label", "a{b", "--out", "t.tex"), "is no label of LaTeX"),
    ],
)
def test_what_contradicts_itself_is_one_sentence_and_no_file(
    options, sentence, results, zslbench, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = zslbench(*command("leaderboard", results), *options)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_agrees_and_a_suffix_in_capitals_are_fine(results, zslbench, tmp_path):
    assert zslbench(*command("leaderboard", results), "--out", tmp_path / "T.TEX", "--format", "latex")[0] == 0
    check_latex((tmp_path / "T.TEX").read_text(encoding="utf-8"))


def test_a_failed_write_leaves_the_old_file(results, zslbench, tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr("pathlib.Path.write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
    assert zslbench(*command("leaderboard", results), "--out", path)[0] == 2
    assert path.read_text(encoding="utf-8") == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["t.csv"]


def test_a_leaderboard_marks_the_best_of_each_budget_and_no_reference(results, zslbench, tmp_path):
    assert zslbench(*command("leaderboard", results), "--out", tmp_path / "t.tex")[0] == 0
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    ((_, body),) = tables(text)
    header, *lines = rows(body)
    found = {cells(line)[0]: dict(zip(cells(header), cells(line), strict=True)) for line in lines if "&" in line}
    top1 = {name: row[r"top-1 \%"] for name, row in found.items()}
    assert top1 == {"ridge": r"\textbf{43.5}", "eszsl": r"\underline{33.5}", "devise": "63.5", "random": "73.5"}
    assert r"\label{tab:hmdb51-zsl}" in text
    assert any("over classes" in name for name in found["ridge"])
    zslbench(*command("leaderboard", results), "--no-intervals", "--out", tmp_path / "u.tex")
    ((_, body),) = tables((tmp_path / "u.tex").read_text(encoding="utf-8"))
    assert not any("over classes" in name for name in cells(rows(body)[0]))


def test_compare_marks_the_better_of_two_that_differ(results, zslbench, tmp_path):
    code, *_ = zslbench(*command("compare", results), "ridge", "eszsl", "--label", "tab:c", "--out", tmp_path / "t.tex")
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    ((_, body),) = tables(text)
    assert (code, cells(rows(body)[1])[:4]) == (0, ["ridge", "eszsl", r"\textbf{43.5}", "33.5"])
    assert r"\label{tab:c}" in text


def test_a_ledger_marks_figures_that_one_source_compares(zslbench, tmp_path):
    filters = ("ledger", "--dataset", "hmdb51", "--system", "action2vec", "--protocol", "50/50")
    assert zslbench(*filters, "--out", tmp_path / "t.tex")[0] == 0
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    found = [cells(line) for _, body in tables(text) for line in rows(body)[1:] if "&" in line]
    marked = {row[0]: row[3] for row in found if "text" in row[3] or "under" in row[3]}
    assert marked == {
        "Action2Vec, dual loss + attention": r"\textbf{23.48}", "Action2Vec, dual loss": r"\underline{22.39}",
    }  # fmt: skip
    assert zslbench("ledger", "--dataset", "hmdb51", "--no-intervals", "--out", tmp_path / "u.tex")[0] == 0
    assert "±" not in "".join(body for _, body in tables((tmp_path / "u.tex").read_text(encoding="utf-8")))


def test_names_of_any_characters_keep_their_cell_in_every_format(zslbench, tmp_path):
    store = fake_store(tmp_path / "runs", [fake_record(NASTY), fake_record("ridge")])
    for suffix in ("tex", "csv", "md", "html", "json"):
        path = tmp_path / f"t.{suffix}"
        assert zslbench("leaderboard", "--results", store.root, "--out", path)[0] == 0
        check(suffix, path.read_text(encoding="utf-8"))
    assert "<i>c" not in (tmp_path / "t.html").read_text(encoding="utf-8")


def test_an_empty_table_keeps_its_header(zslbench, tmp_path):
    (tmp_path / "runs").mkdir()
    made = {
        fmt: zslbench("models", "--results", tmp_path / "runs", "--format", fmt) for fmt in ("csv", "json", "latex")
    }
    assert [code for code, *_ in made.values()] == [0, 0, 0]
    assert made["csv"][1] == "model,method,trained on,split,saved,size\n"
    assert json.loads(made["json"][1]) == []
    check_latex(made["latex"][1])


def test_programs_get_numbers_and_lists(zslbench, data_root):
    _, out, _ = zslbench("datasets", "--format", "json")
    ucf = next(each for each in json.loads(out) if each["name"] == "ucf101")
    assert ucf["classes"] == 101
    assert "xu-50/50" in ucf["families"]
    _, out, _ = zslbench("methods", "--format", "json")
    assert {"name": "ridge", "kind": "method"}.items() <= next(
        each for each in json.loads(out) if each["name"] == "ridge"
    ).items()
    _, out, _ = zslbench("splits", "hmdb51", "--format", "json")
    assert next(each for each in json.loads(out) if each["family"] == "xu-50/50")["splits"] == 50
