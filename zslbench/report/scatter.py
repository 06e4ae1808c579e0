"""Class embeddings in the plane: t-SNE or PCA, drawn with matplotlib (PNG, SVG) or plotly (HTML).

Figure 2 of Hahn, Silva, Rehg. Action2Vec. arXiv:1901.00484 is a t-SNE of class embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.embeddings import ClassEmbeddings
from zslbench.errors import ZslbenchError
from zslbench.semantics_words import unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Projection = Literal["tsne", "pca"]

MOST_LABELS = 120  # that can be read on a slide
_MOST_SHOWN = 45  # labels of an interactive picture, which nothing moves apart; the others show under the pointer
_NEIGHBOURS = 3
_SLIDE = (13.33, 7.5)  # inches, 16:9
_MARKER = 26  # points squared
_PAD = 3.2  # points that a label keeps from the middle of a marker
# Where a label may lie about its marker, as shares of half its width and height; the first that is free is taken.
_SIDES = np.array([
    (1, 0), (-1, 0), (1, 0.8), (1, -0.8), (-1, 0.8), (-1, -0.8), (0, 1), (0, -1), (0.5, 1), (0.5, -1), (-0.5, 1),
    (-0.5, -1),
])  # fmt: skip
_DISTANCES = (1.2, 2.5, 5, 8, 12)  # in pads
_ITERATIONS = 25  # of moving labels apart: a count and not a time, or no two pictures were the same
# Of Okabe and Ito's palette, which colour-blind readers tell apart; the shape says the same.
_STYLES = {
    "seen in training": ("#0072B2", "o", "circle"),
    "unseen": ("#D55E00", "^", "triangle-up"),
    "class": ("#0072B2", "o", "circle"),
}


@dataclass(frozen=True)
class ClassMap:
    """Class embeddings in the plane.

    Attributes
    ----------
    classes
        What was projected.
    points
        (n, 2).
    neighbours, cosines
        (n, k) places of the nearest other classes among the embeddings themselves, the nearest first, and how near.
    label
        What the projection is, for a caption.
    axes
        What the two axes are; empty for t-SNE, whose axes mean nothing.
    """

    classes: ClassEmbeddings
    points: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    cosines: NDArray[np.float64]
    label: str
    axes: tuple[str, str]


def project(classes: ClassEmbeddings, projection: Projection = "tsne", *, seed: int = 0) -> ClassMap:
    """Return the plane in which classes of like direction lie near each other.

    Embeddings are scaled to unit length first, so that distances are those of the cosine. t-SNE starts from the first
    two principal components; its perplexity is a tenth of the number of classes, between 5 and 30.

    Raises
    ------
    ZslbenchError
        Fewer than four classes, or an embedding is zero or not finite.
    """
    n = len(classes)
    if n < 4:
        raise ZslbenchError(f"{classes.title} has {n} classes; a picture needs four at least.")
    vectors = unit(classes.vectors.astype(np.float64))
    if not np.isfinite(vectors).all():
        bad = classes.names[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
        raise ZslbenchError(f"the embedding of {bad} is zero or not finite; choose other features or another method.")
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    neighbours = np.argsort(-cosines, axis=1, kind="stable")[:, :_NEIGHBOURS]
    points, label, axes = _pca(vectors) if projection == "pca" else _tsne(vectors, seed)
    return ClassMap(classes, points, neighbours, np.take_along_axis(cosines, neighbours, axis=1), label, axes)


def _pca(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], str, tuple[str, str]]:
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="full")
    points = pca.fit_transform(vectors)
    first, second = (f"component {i} ({100 * share:.0f} % of variance)" for i, share in
                     enumerate(pca.explained_variance_ratio_, 1))  # fmt: skip
    return points, "PCA", (first, second)


def _tsne(vectors: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], str, tuple[str, str]]:
    from sklearn.manifold import TSNE

    perplexity = min(float(np.clip(len(vectors) / 10, 5, 30)), (len(vectors) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed, n_jobs=1)
    label = f"t-SNE of the cosine, perplexity {perplexity:.3g}, seed {seed}; only neighbourhoods mean something"
    return tsne.fit_transform(vectors).astype(np.float64), label, ("", "")


def spread_out(points: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """Return the places of ``number`` points that lie far from each other, sorted.

    The first is the one nearest to the middle, each next the farthest from those before.
    """
    if len(points) <= number:
        return np.arange(len(points))
    chosen = [int(np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    distances = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < number:
        chosen.append(int(np.argmax(distances)))
        distances = np.minimum(distances, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.sort(np.array(chosen))


def _groups(classes: ClassEmbeddings) -> dict[str, NDArray[np.int64]]:
    """Return the places of the classes of each style."""
    if classes.seen is None:
        return {"class": np.arange(len(classes))}
    groups = {"seen in training": np.flatnonzero(classes.seen), "unseen": np.flatnonzero(~classes.seen)}
    return {name: places for name, places in groups.items() if len(places)}


def _subtitle(found: ClassMap, labelled: int) -> str:
    n, counts = len(found.classes), found.classes.counts
    parts = [f"{n} classes"]
    if counts.any():
        parts[0] += f", each the mean of {counts.min()} to {counts.max()} videos"
    parts.append(found.label)
    if labelled < n:
        parts.append(f"{labelled} of {n} classes are named, chosen to spread over the picture")
    return ". ".join(parts) + "."


def scatter_figure(found: ClassMap, *, lines: bool = False, title: str = "") -> Figure:
    """Return a picture of the classes at the size of a slide (16:9), with labels moved apart.

    Parameters
    ----------
    found
        What :func:`project` returned.
    lines
        Whether each class is tied to its nearest one.
    title
        The embeddings' own by default.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot. Above 120 classes, a spread-out part of them is named, and the picture says so.

    Raises
    ------
    ZslbenchError
        adjustText, of the extra ``report``, is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SLIDE, dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.025, 0.045, 0.95, 0.86))
    points = found.points
    if lines:
        from matplotlib.collections import LineCollection

        pairs = points[np.stack([np.arange(len(points)), found.neighbours[:, 0]], axis=1)]
        axes.add_collection(LineCollection(list(pairs), colors="#bbbbbb", linewidths=0.7, zorder=1))
    for name, places in _groups(found.classes).items():
        colour, marker, _ = _STYLES[name]
        x, y = points[places].T
        label = f"{name} ({len(places)})"
        axes.scatter(x, y, s=_MARKER, c=colour, marker=marker, label=label, linewidths=0, zorder=2)
    _frame(axes, found)
    places = spread_out(points, MOST_LABELS)
    heading = figure.text(0.025, 0.957, title or found.classes.title, fontsize=13, weight="bold", va="center")
    room = 0.95 * figure.bbox.width
    if found.classes.seen is not None:
        legend = figure.legend(loc="upper right", bbox_to_anchor=(0.978, 0.995), ncols=2, fontsize=10, frameon=False)
        room -= legend.get_window_extent().width
    heading.set_fontsize(13 * min(1, room / heading.get_window_extent().width))
    figure.text(0.025, 0.924, _subtitle(found, len(places)), fontsize=9, color="#444444", va="center")
    _label(axes, found, places)
    return figure


def _frame(axes: Axes, found: ClassMap) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.04, 0.04)
    axes.set_xlabel(found.axes[0], fontsize=9)
    axes.set_ylabel(found.axes[1], fontsize=9)
    for edge in axes.spines.values():
        edge.set_color("#cccccc")


def _label(axes: Axes, found: ClassMap, places: NDArray[np.int64]) -> list[Text]:
    """Name the classes at ``places``; labels move apart and away from points, a thin line ties each to its own."""
    try:
        from adjustText import adjust_text
    except ImportError as error:
        raise ZslbenchError(
            'pictures of classes need adjustText, which is not installed: pip install "zslbench[report]".'
        ) from error
    size = float(np.interp(len(places), [20, 100, 120], [12, 9, 8]))
    colour_of = {i: _dark(_STYLES[name][0]) for name, group in _groups(found.classes).items() for i in group.tolist()}
    names = [found.classes.names[i].replace("_", " ") for i in places]
    own = found.points[places]
    texts = [
        axes.text(x, y, name, fontsize=size, color=colour_of[i], ha="center", va="center", zorder=3)
        for i, name, (x, y) in zip(places.tolist(), names, own, strict=True)
    ]
    _start(axes, texts, own, found.points)
    everything = axes.scatter(
        found.points[:, 0], found.points[:, 1], s=_MARKER
    )  # labels keep off the markers' area, too
    adjust_text(
        texts, target_x=own[:, 0], target_y=own[:, 1], objects=everything, avoid_self=False, ax=axes,
        iter_lim=_ITERATIONS, force_explode=(0, 0), force_static=(0.02, 0.02), force_pull=(0.002, 0.002), expand=(1, 1),
        prevent_crossings=False, min_arrow_len=12, arrowprops={"arrowstyle": "-", "color": "#999999", "lw": 0.5},
    )  # fmt: skip
    everything.remove()
    return texts


def _start(axes: Axes, texts: list[Text], own: NDArray[np.float64], points: NDArray[np.float64]) -> None:
    """Put each label beside its own point (n, 2), or farther off, where it covers least of points and earlier labels.

    adjustText then moves what still collides; started from the points themselves, it leaves labels on markers.
    """
    axes.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
    pixels = axes.transData.transform(points)
    centres = axes.transData.transform(own)
    sizes = np.array([(box.width, box.height) for box in (text.get_window_extent() for text in texts)])
    radius = _PAD * axes.figure.dpi / 72
    taken = np.concatenate([pixels - radius, pixels + radius], axis=1)
    frame = axes.get_window_extent()
    near = np.abs(pixels - centres[:, None]) < sizes.mean(axis=0) * (1, 3)
    crowded_first = np.argsort(-near.all(axis=2).sum(axis=1), kind="stable")
    steps = np.repeat(_DISTANCES, len(_SIDES))[:, None] * radius
    sides = np.tile(_SIDES, (len(_DISTANCES), 1))
    for place in crowded_first:
        middles = centres[place] + sides * (sizes[place] / 2 + steps)
        boxes = np.concatenate([middles - sizes[place] / 2, middles + sizes[place] / 2], axis=1)
        low, high = np.maximum(boxes[:, None, :2], taken[:, :2]), np.minimum(boxes[:, None, 2:], taken[:, 2:])
        covered = np.clip(high - low, 0, None).prod(axis=2).sum(axis=1)
        outside = (boxes[:, :2] < frame.min).any(axis=1) | (boxes[:, 2:] > frame.max).any(axis=1)
        best = int(np.argmin(covered + 1e9 * outside))
        taken = np.vstack([taken, boxes[best]])
        x, y = axes.transData.inverted().transform(middles[best])
        texts[place].set_position((x, y))


def _dark(colour: str) -> Any:
    from matplotlib.colors import to_rgb

    return tuple(0.55 * part for part in to_rgb(colour))


def scatter_plotly(found: ClassMap, *, lines: bool = False, title: str = "") -> Any:
    """Return the same as an interactive plotly figure: the pointer shows class, neighbours and videos averaged.

    Parameters
    ----------
    found, lines, title
        As for :func:`scatter_figure`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ZslbenchError
        plotly, of the extra ``report``, is not installed.
    """
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ZslbenchError(
            'interactive pictures need plotly, which is not installed: pip install "zslbench[report]".'
        ) from error
    x, y = found.points.T
    figure = go.Figure()
    if lines:
        gap = np.full(len(x), np.nan)
        pairs = [np.stack([values, values[found.neighbours[:, 0]], gap], axis=1).ravel() for values in (x, y)]
        style = {"color": "#aaaaaa", "width": 1}
        figure.add_scatter(x=pairs[0], y=pairs[1], mode="lines", line=style, hoverinfo="skip", name="nearest class")
    named = set(spread_out(found.points, _MOST_SHOWN).tolist())
    hover = _hover_texts(found)
    for name, places in _groups(found.classes).items():
        colour, _, symbol = _STYLES[name]
        figure.add_scatter(
            x=x[places], y=y[places], mode="markers+text", name=f"{name} ({len(places)})",
            text=[found.classes.names[i].replace("_", " ") if i in named else "" for i in places],
            textposition="top center", textfont={"size": 10}, marker={"color": colour, "symbol": symbol, "size": 9},
            hovertext=[hover[i] for i in places], hoverinfo="text",
        )  # fmt: skip
    figure.update_layout(
        title={"text": title, "x": 0.01},
        height=720,
        legend={"orientation": "h", "y": 1.04, "x": 1, "xanchor": "right"},
        margin={"l": 30, "r": 20, "t": 50, "b": 30},
        showlegend=found.classes.seen is not None or lines,
    )
    figure.update_xaxes(showticklabels=False, title=found.axes[0], zeroline=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, title=found.axes[1], zeroline=False, showgrid=False)
    return figure


def _hover_texts(found: ClassMap) -> list[str]:
    from html import escape

    classes, texts = found.classes, []
    for i, name in enumerate(classes.names):
        lines = [f"<b>{escape(name)}</b>"]
        if classes.seen is not None:
            lines[0] += " (seen in training)" if classes.seen[i] else " (unseen)"
        if classes.counts[i]:
            lines.append(f"mean of {classes.counts[i]} videos")
        near = zip(found.neighbours[i], found.cosines[i], strict=True)
        lines.append("nearest: " + ", ".join(f"{escape(classes.names[j])} {cosine:.2f}" for j, cosine in near))
        texts.append("<br>".join(lines))
    return texts


def describe(found: ClassMap) -> str:
    """Return what a reader learns who cannot see the picture."""
    pairs: dict[frozenset[str], str] = {}
    for i in np.argsort(-found.cosines[:, 0], kind="stable"):
        pair = (found.classes.names[i], found.classes.names[found.neighbours[i, 0]])
        pairs.setdefault(frozenset(pair), f"{pair[0]} and {pair[1]}")
    return f"A map of {len(found.classes)} classes. The most similar are {'; '.join(list(pairs.values())[:5])}."


def caption(found: ClassMap) -> str:
    """Return what an interactive picture shows."""
    return f"{_subtitle(found, len(found.classes))} The pointer shows a class's name, videos and nearest classes."
