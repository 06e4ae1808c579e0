"""Draw vector arithmetic: the result of "play piano" - "piano" + "violin", and the classes near it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.report._apart import place_texts
from zslbench.report._style import blank_figure, plain_text, short
from zslbench.semantic_tests.arithmetic import ArithmeticTest, MetricOutcome
from zslbench.tables.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIBLINGS = 4  # more classes of the verb per panel, those nearest to V_new
_COLUMNS, _WIDTH, _HEIGHT, _HEAD = 3, 4.6, 4.75, 1.15  # panels per row; inches
_FLAT = 0.83  # height of a plane over its width
# Okabe and Ito's colours, which colour-blind readers can distinguish.
_TARGET, _WRONG, _STEP, _OTHER, _SOURCE = "#009e73", "#d55e00", "#0072b2", "#7a7a7a", "black"


def drawn_examples(
    outcome: MetricOutcome, verbs: Mapping[str, NDArray[np.int64]], n: int = 6, seed: int = 0
) -> list[int]:
    """Draw pairs to show at random, and return their indices: half pass and half fail, if there are enough.

    Verbs take turns in random order, so that one large group does not fill the picture.
    """
    rng = np.random.default_rng(seed)
    queues = []
    for passed in (True, False):
        shuffled = [rng.permutation(places[outcome.correct[places] == passed]) for places in verbs.values()]
        order = rng.permutation(len(shuffled))
        turns = [(turn, order[k], int(i)) for k, places in enumerate(shuffled) for turn, i in enumerate(places)]
        queues.append([i for _, _, i in sorted(turns)])
    passes, failures = queues
    n_passes = max(min(len(passes), (n + 1) // 2), n - len(failures))
    return passes[:n_passes] + failures[: n - n_passes]


@plain_text
def analogy_figure(
    test: ArithmeticTest, outcome: MetricOutcome, examples: Sequence[int], *, labels: Mapping[str, str] | None = None
) -> Figure:
    """Draw one panel per example: the classes around V_new in a plane, the arithmetic as arrows, the nearest classes.

    The plane is that of the first two principal components of the shown classes, so its distances are only
    approximately those of the embedding. The list under each panel has the true order.

    Parameters
    ----------
    outcome
        An outcome of the test, which decides the metric and whether the source may be the answer.
    examples
        Indices of pairs in the test.
    labels
        Class name -> its label; by default the name.

    Returns
    -------
    matplotlib.figure.Figure
        A figure made without pyplot: it changes no global state and needs no display.

    Raises
    ------
    ZslbenchError
        ``examples`` is empty.
    """
    if not examples:
        raise ZslbenchError("there is no example to draw; choose at least one.")
    columns = min(_COLUMNS, len(examples))
    rows = -(-len(examples) // columns)
    size = max(_WIDTH * columns, 7.5), _HEIGHT * rows + _HEAD
    figure = blank_figure(size, dpi=150, facecolor="white")
    head = 1 - _HEAD / size[1]
    grid = figure.add_gridspec(rows, columns, left=0.02, right=0.98, bottom=0.0, top=head, wspace=0.06, hspace=0.0)
    for k, i in enumerate(examples):
        cells = grid[k // columns, k % columns].subgridspec(2, 1, height_ratios=(3.6, 1.1), hspace=0)
        _panel(figure.add_subplot(cells[0]), test, outcome, i, labels or {})
        _nearest(figure.add_subplot(cells[1]), test, outcome, i, labels or {})
    rule = "source left out" if outcome.exclude_source else "source among the candidates"
    passes = f"{int(outcome.correct.sum()):,} of {len(test.pairs):,} pairs pass"
    figure.text(0.02, 1 - 0.12 / size[1], short(test.title, 90), va="top", fontsize=14, fontweight="bold")
    said = f"{passes}: {outcome.metric} distance, {outcome.n_candidates} classes, {rule}"
    figure.text(0.02, 1 - 0.42 / size[1], said, va="top", fontsize=11, color="#444444")
    _legend(figure, 1 - 0.68 / size[1])
    return figure


def _legend(figure: Figure, top: float) -> None:
    """Draw the legend."""
    from matplotlib.lines import Line2D

    def mark(colour: str, label: str, shape: str = "o", size: int = 9) -> Line2D:
        return Line2D([], [], marker=shape, color=colour, markersize=size, linestyle="none", label=label)

    marks = [
        mark(_SOURCE, "source"),
        mark(_STEP, "source − noun + noun", "*", 14),
        mark(_TARGET, "target"),
        mark(_WRONG, "nearest class, if it is not the target"),
        mark(_OTHER, "others", size=6),
    ]
    figure.legend(
        handles=marks, loc="upper left", bbox_to_anchor=(0.012, top), ncols=len(marks), frameon=False, fontsize=11,
        handletextpad=0.2, columnspacing=1.6, borderaxespad=0, borderpad=0,
    )  # fmt: skip


def _panel(axes: Axes, test: ArithmeticTest, outcome: MetricOutcome, i: int, labels: Mapping[str, str]) -> None:
    """Draw one pair."""
    pair, passed = test.pairs[i], bool(outcome.correct[i])
    source, target, first = int(test.sources[i]), int(test.targets[i]), int(outcome.nearest[i, 0])
    rows = _shown(test, outcome, i)
    middle = test.vectors[source] - test.nouns[pair.minus]
    points = _plane(test.vectors[rows], np.stack([test.v_new[i], middle]))
    place: dict[Any, NDArray[Any]] = dict(zip([*rows, "v_new", "middle"], points, strict=True))
    _frame(axes, points)
    for start, end in ((source, "middle"), ("middle", "v_new")):
        axes.annotate("", xy=_xy(place[end]), xytext=_xy(place[start]), arrowprops=_ARROW, zorder=3)
    link = np.stack([place["v_new"], place[first]])
    axes.plot(*link.T, ":", color=_TARGET if passed else _WRONG, lw=2.5, zorder=2)
    axes.scatter(*_xy(place["v_new"]), s=210, marker="*", color=_STEP, zorder=8, edgecolor="white", linewidth=0.7)
    colours = {first: _WRONG, source: _SOURCE, target: _TARGET}
    texts = []
    for row in rows:
        shade = colours.get(row, _OTHER)
        named = row in colours
        axes.scatter(*_xy(place[row]), s=85 if named else 38, color=shade, zorder=7, edgecolor="white", linewidth=0.8)
        texts.append(_label(axes, place[row], labels.get(test.names[row], test.names[row]), shade, named))
    for sign, noun, start, end in (("−", pair.minus, source, "middle"), ("+", pair.plus, "middle", "v_new")):
        texts.append(_label(axes, (place[start] + place[end]) / 2, f"{sign} {noun}", _STEP, True))
    lines = (source, "middle"), ("middle", "v_new"), ("v_new", first)
    along = [place[start] + share * (place[end] - place[start]) for start, end in lines for share in _SHARES]
    place_texts(axes, texts, points, np.stack(along), colour="#b0b0b0")


_SHARES = np.linspace(0.1, 0.9, 9)  # where labels keep off lines
_ARROW = {"arrowstyle": "-|>", "color": _STEP, "lw": 2.2, "mutation_scale": 17, "shrinkA": 5, "shrinkB": 5}


def _shown(test: ArithmeticTest, outcome: MetricOutcome, i: int) -> list[int]:
    """Return the rows of the classes of a panel: source, target, the nearest, and some more of the verb."""
    verb = {int(test.targets[j]) for j in test.verbs[test.pairs[i].verb]}
    distance = np.linalg.norm(test.vectors - test.v_new[i], axis=1)
    siblings = sorted(verb, key=distance.__getitem__)[:_SIBLINGS]
    return list(dict.fromkeys([int(test.sources[i]), int(test.targets[i]), *map(int, outcome.nearest[i]), *siblings]))


def _plane(classes: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Project classes (n, d) and other points (m, d) to the plane of the classes' first two components, (n + m, 2).

    Only the classes define the plane: the part of V_new outside their span adds the same to its distance from each.
    """
    centre = classes.mean(axis=0)
    axes = np.linalg.svd(classes - centre, full_matrices=False)[2][:2]
    projected: NDArray[np.float64] = (np.vstack([classes, others]) - centre) @ axes.T
    return projected


def _xy(point: NDArray[Any]) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _label(axes: Axes, place: NDArray[Any], text: str, colour: str, bold: bool) -> Any:
    from matplotlib.patheffects import withStroke

    weight = "bold" if bold else "normal"
    halo = [withStroke(linewidth=3, foreground="white")]
    text = short(text)
    return axes.text(*_xy(place), text, fontsize=11, color=colour, fontweight=weight, path_effects=halo, zorder=6)


def _frame(axes: Axes, points: NDArray[Any]) -> None:
    """Give both axes one scale, with room for labels, and no ticks, because the units have no meaning."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    width, height = high - low
    half = 0.62 * max(width, height / _FLAT) * np.array([1, _FLAT])
    axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axes.set_ylim(middle[1] - half[1], middle[1] + half[1])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#d0d0d0")


def _nearest(axes: Axes, test: ArithmeticTest, outcome: MetricOutcome, i: int, labels: Mapping[str, str]) -> None:
    """Write the arithmetic, whether it passes, and the nearest classes."""
    pair, passed = test.pairs[i], bool(outcome.correct[i])
    axes.set_axis_off()
    verdict, colour = ("passes", _TARGET) if passed else ("fails", _WRONG)
    said = wrap(f"{labels.get(pair.source, pair.source)} − {pair.minus} + {pair.plus}", 38)
    near = [labels.get(test.names[row], test.names[row]) for row in outcome.nearest[i]]
    listed = wrap("nearest: " + ", ".join(f"{place}. {name}" for place, name in enumerate(near, start=1)), 64)
    top = 0.92
    for lines, size, shade, weight in (
        (said, 12, "black", "bold"), ([verdict], 11, colour, "bold"), (listed, 10, "#444444", "normal"),
    ):  # fmt: skip
        for line in map(visible, lines):
            axes.text(0.0, top, line, transform=axes.transAxes, va="top", fontsize=size, color=shade, fontweight=weight)
            top -= 0.0165 * size
