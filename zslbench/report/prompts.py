"""Draw how a figure is spread over prompts, and whether a method's lead survives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zslbench.report._style import FAINT, INK, PAPER, SERIES, bare, blank_figure, plain_text, short
from zslbench.run.prompt_figures import PromptFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 8
_LINE = 0.42  # inches per row
_LEAD = 2.3  # inches of one panel of a lead


@plain_text
def prompt_figure(figures: PromptFigures, metric: str, title: str, label: str) -> Figure:
    """Draw one dot per prompt, in a row for each method and table of names; then each lead over a further method.

    Parameters
    ----------
    metric
        ``top1`` or ``top1_per_class``.
    title
        What was tested.
    label
        The metric's title.
    """
    tables = list(dict.fromkeys(prompt.names for prompt in figures.prompts))
    n_rows, n_leads = len(figures.methods) * len(tables), len(figures.methods) - 1
    heights = [_LINE * n_rows + 0.6, *[_LEAD] * n_leads]
    figure = blank_figure((_WIDTH, sum(heights) + 0.5), dpi=130, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1 + n_leads, 1, height_ratios=heights))
    for axes in panels:
        bare(axes)
    _spread(panels[0], figures, 100 * figures.accuracy(metric), tables)
    usual = "" if figures.usual is None else "; diamond: plain names without a template"
    panels[0].set_xlabel(f"{label}, % (dot: one prompt; bar: quartiles{usual})")
    panels[0].set_title(short(title, 100), loc="left", fontsize=9.5, color=INK)
    for i, axes in enumerate(panels[1:], start=1):
        _lead(axes, figures, metric, i)
    return figure


def _spread(axes: Axes, figures: PromptFigures, accuracy: np.ndarray, tables: list[str]) -> None:
    of_table = np.array([prompt.names for prompt in figures.prompts])
    rng = np.random.default_rng(0)  # dots are moved up and down, so that they can be counted
    ticks: list[str] = []
    for m, method in enumerate(figures.methods):
        colour = SERIES[m % len(SERIES)]
        for names in tables:
            y = len(ticks)
            ticks.append(f"{short(method)}, {names}" if len(figures.methods) > 1 else names)
            values = accuracy[m, of_table == names]
            axes.scatter(values, y + rng.uniform(-0.16, 0.16, len(values)), s=9, color=colour, alpha=0.45, linewidths=0)
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            axes.plot([low, high], [y + 0.3] * 2, color=INK, linewidth=2, solid_capstyle="butt")
            axes.plot(middle, y + 0.3, "|", color=INK, markersize=9, markeredgewidth=1.8)
            if figures.usual is not None and of_table[figures.usual] == names:
                axes.plot(accuracy[m, figures.usual], y, "D", color=colour, markerfacecolor=PAPER, markersize=6)
    axes.set_yticks(range(len(ticks)), ticks, fontsize=8.5, color=INK)
    axes.set_ylim(len(ticks) - 0.4, -0.5)
    axes.grid(visible=False, axis="y")


def _lead(axes: Axes, figures: PromptFigures, metric: str, other: int) -> None:
    """Draw the lead with each prompt, sorted, with its interval over classes."""
    leads = sorted(figures.leads(metric, other), key=lambda lead: lead.mean)
    x = np.arange(len(leads))
    means, lows, highs = (100 * np.array([getattr(lead, part) for lead in leads]) for part in ("mean", "low", "high"))
    axes.vlines(x, lows, highs, color=SERIES[0], alpha=0.25, linewidth=1.2)
    axes.plot(x, means, ".", color=SERIES[0], markersize=3.5)
    axes.axhline(0, color=FAINT, linewidth=1)
    axes.set_xticks([])
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(f"prompts, sorted by the lead of {short(figures.methods[0])} over {short(figures.methods[other])}")
    axes.set_ylabel("lead, points")
