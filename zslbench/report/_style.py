"""The style of the report's pictures: a palette for colour-blind readers, and an empty figure.

Ink, faint, line and paper are the colours of ``page.css`` in light mode. :class:`~zslbench.report.page.Page` replaces
them by the page's variables, so that pictures follow the page in dark mode.
"""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from collections.abc import Callable, Iterator
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from zslbench.tables.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, LINE, PAPER = "#1c1f24", "#5a6270", "#d9dde3", "#fdfdfd"
THEME = {INK: "ink", FAINT: "faint", LINE: "line", PAPER: "paper"}
# Okabe and Ito's palette without yellow and black: the other colours are visible on white and on black.
BLUE, VERMILION, GREEN, SKY, ORANGE, PURPLE = "#0072b2", "#d55e00", "#009e73", "#56b4e9", "#e69f00", "#cc79a7"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")


_Options = ParamSpec("_Options")


def plain_text(draw: Callable[_Options, Figure]) -> Callable[_Options, Figure]:
    """Return a drawing function whose texts show what names contain, also dollars: they begin no mathematics."""

    @wraps(draw)
    def drawn(*args: _Options.args, **options: _Options.kwargs) -> Figure:
        with _as_text():
            return draw(*args, **options)

    return drawn


@contextlib.contextmanager
def _as_text() -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context({"text.parse_math": False}), warnings.catch_warnings():
        # A box shows a character that the font lacks; a name is no reason for a warning.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


@cache
def _picture() -> type[Figure]:
    from matplotlib.figure import Figure

    class Picture(Figure):
        def savefig(self, *args: Any, **options: Any) -> None:
            with _as_text():
                super().savefig(*args, **options)

    return Picture


def blank_figure(size: tuple[float, float], **options: Any) -> Figure:
    """Return an empty figure of that many inches, made without pyplot: no global state, and no display is needed.

    A function that draws names from data into it has the decorator :func:`plain_text`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = _picture()(figsize=size, **options)
    FigureCanvasAgg(figure)
    return figure


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of that many inches with one empty pair of axes."""
    figure = blank_figure((width, height), dpi=96)
    axes = figure.add_axes((0, 0, 1, 1))
    bare(axes)
    return figure, axes


def bare(axes: Axes) -> None:
    """Remove the parts of a frame that are not needed."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(LINE)
    axes.tick_params(colors=FAINT, labelsize=8.5, length=0)
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=FAINT, fontsize=9)


def filled(text: str, width: float) -> str:
    """Return a text in lines of about that many characters."""
    # matplotlib's own wrapping reads mathematics in any text.
    return textwrap.fill(short(text, 300), int(width))


def short(name: str, most: int = 46) -> str:
    """Return a name that fits beside a picture, with escapes in place of characters that cannot be seen."""
    name = visible(name)
    return name if len(name) <= most else f"{name[: most - 1]}…"
