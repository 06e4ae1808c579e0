"""Every LaTeX that a verb writes compiles, where there is a TeX engine, and stays on its page."""

import re
import shutil
import subprocess

import pytest
from fakes import fake_record, fake_store

from zslbench.tables.document import Section
from zslbench.tables.latex import latex_text
from zslbench.tables.writer import columns

pytestmark = pytest.mark.slow

NASTY = r"a|b & 50% $x$ #1 {y} ~ ^ \z <t> _ --all 'q' \"r\""
NAMES = tuple(f"class {i}" for i in range(8))
DOCUMENT = r"""\documentclass[%s]{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,array,longtable}
\begin{document}
%s
\end{document}
"""
VERBS = (
    ["leaderboard"], ["leaderboard", "--no-intervals"], ["compare"], ["report"], ["audit"], ["results", "list"],
    ["ledger", "--dataset", "hmdb51"], ["methods"], ["protocols"], ["splits"],
)  # fmt: skip


@pytest.fixture(scope="module")
def latex():
    """Return a function that compiles a text and returns the points by which its widest line leaves the page."""
    engine = shutil.which("pdflatex")
    if engine is None:
        pytest.skip("no pdflatex on this machine; Debian has it in the package 'texlive-latex-base'")

    def compiled(text, folder, options=""):
        (folder / "paper.tex").write_text(DOCUMENT % (options, text), encoding="utf-8")
        for _ in range(2):  # longtable needs the widths of the first pass
            line = [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True, errors="replace")
            assert done.returncode == 0, done.stdout[-2000:]
        return max([0.0, *map(float, re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout))])

    return compiled


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    records = [
        fake_record(method, split, names=NAMES, scored=(100,) * 8, top1=tuple(share + i for i in range(8)))
        for method, share in {"ridge": 40, "eszsl": 30, NASTY: 20}.items()
        for split in (0, 1)
    ]
    return fake_store(tmp_path_factory.mktemp("tex") / "runs", records).root


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_it_compiles_within_the_page(verb, latex, results, zslbench, tmp_path):
    where = ["--results", results] if verb[0] in ("leaderboard", "compare", "report", "audit", "results") else []
    code, _, err = zslbench(*verb, *where, "--out", tmp_path / "table.tex")
    assert code == 0, err
    # Names that TeX cannot break may stand out a little.
    assert latex((tmp_path / "table.tex").read_text(encoding="utf-8"), tmp_path) < 30


def test_a_table_that_is_longer_than_a_page_compiles_in_two_columns(latex, tmp_path):
    rows = [[f"method {i}", str(i)] for i in range(100)]
    text = f"before {latex_text([Section(columns(['method', 'top-1']), rows, 'long')])} " + 200 * "after "
    width = latex(text + r"\typeout{THEN \the\columnwidth, \the\textwidth}", tmp_path, "twocolumn")
    assert width < 10
    column, page = re.search(r"THEN ([\d.]+)pt, ([\d.]+)pt", (tmp_path / "paper.log").read_text("latin-1")).groups()
    assert float(column) < float(page) / 2  # two columns again
    assert latex(text, tmp_path) < 10


def test_a_leaderboard_fits_a_paper_of_two_columns(latex, results, zslbench, tmp_path):
    assert zslbench("leaderboard", "--results", results, "--out", tmp_path / "table.tex")[0] == 0
    assert latex((tmp_path / "table.tex").read_text(encoding="utf-8"), tmp_path, "twocolumn") < 10
