"""The style of the report's pictures: a palette for colour-blind readers, and an empty figure.

Ink, faint, line and paper are the colours of ``page.css`` in light mode. :class:`~zslbench.report.page.Page` replaces
them by the page's variables, so that pictures follow the page in dark mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, LINE, PAPER = "#1c1f24", "#5a6270", "#d9dde3", "#fdfdfd"
THEME = {INK: "ink", FAINT: "faint", LINE: "line", PAPER: "paper"}
# Okabe and Ito's palette without yellow and black: the other colours are visible on white and on black.
BLUE, VERMILION, GREEN, SKY, ORANGE, PURPLE = "#0072b2", "#d55e00", "#009e73", "#56b4e9", "#e69f00", "#cc79a7"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")


def blank_figure(size: tuple[float, float], **options: Any) -> Figure:
    """Return an empty figure of that many inches, made without pyplot: no global state, and no display is needed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, **options)
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


def short(name: str, most: int = 46) -> str:
    """Return a name that fits beside a picture."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
