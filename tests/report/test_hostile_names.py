"""Names that are mathematics, markup or nonsense elsewhere are drawn and written as they are."""

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from faults.hostile import NAMES, UNSEEN

from zslbench import report as room
from zslbench.report._style import blank_figure, plain_text, short
from zslbench.report.confusion import confusion_figure
from zslbench.report.page import Page
from zslbench.tables.text import visible

ALL = {**NAMES, **UNSEEN}


def test_every_module_that_draws_names_draws_them_as_text():
    for path in Path(room.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if re.search(r"(blank|new)_figure\(", text) and path.name != "_style.py":
            assert "@plain_text" in text, path.name
        assert "wrap=True" not in text, path.name  # matplotlib wraps text as mathematics, whatever it is said to be


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_picture_shows_names_as_they_are_and_without_a_warning(form):
    names = list(ALL.values())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        figure = confusion_figure(np.eye(len(names)), names, title=f"{NAMES['mathematics']}, {UNSEEN['escape']}")
        figure.savefig(io.BytesIO(), format=form)
    assert not warned
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [short(name) for name in names]
    assert {label.get_parse_math() for label in labels} == {False}
    assert figure.axes[0].get_title(loc="left") == f"{NAMES['mathematics']}, {visible(UNSEEN['escape'])}"


def test_other_pictures_of_the_process_keep_their_mathematics():
    import matplotlib as mpl

    @plain_text
    def draw():
        figure = blank_figure((1, 1))
        figure.text(0, 0, "$x$")
        return figure

    assert [text.get_parse_math() for text in draw().texts] == [False]
    assert mpl.rcParams["text.parse_math"]


def test_a_page_shows_names_as_text():
    page = Page(NAMES["markup"], warning=UNSEEN["escape"])
    page.section(NAMES["end of script"], NAMES["entity"])
    page.table(["class"], [[name] for name in ALL.values()], NAMES["rich markup"])
    page.code(UNSEEN["override of direction"])
    page.bullets(ALL.values())
    html = page.render()
    assert "<script>alert" not in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\u2066\ud800-\udfff]", html)
    assert "&amp;lt;far&amp;gt;" in html
    html.encode("utf-8")
