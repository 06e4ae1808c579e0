"""Draw class embeddings in the plane, by t-SNE or PCA, with matplotlib (PNG, SVG) or plotly (HTML).

Figure 2 of Hahn, Silva, Rehg. Action2Vec. arXiv:1901.00484 is a t-SNE of class embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.embeddings.class_embeddings import ClassEmbeddings
from zslbench.errors import ZslbenchError
from zslbench.report._apart import Arrangement, move_apart
from zslbench.report._style import blank_figure, plain_text, short
from zslbench.semantics.words import unit
from zslbench.tables.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MapProjection = Literal["tsne", "pca"]

MOST_LABELS = 120  # that can be read on a slide
_NEIGHBOURS = 3
_SLIDE = (13.33, 7.5)  # inches, 16:9
_FRAME = (0.025, 0.045, 0.95, 0.85)  # places of the axes, as shares of the slide
_INSET = 6.0  # points between a marker and the frame
_PAGE = (880.0, 620.0)  # pixels of an interactive picture; a wider window leaves more room
_PAGE_LETTERS = 10.0
_RADIUS = 3.0  # size of a marker: points on the slide
_PAGE_RADIUS = 4.5
_LONGEST = 40  # letters per name
# From Okabe and Ito's palette, which colour-blind readers can distinguish; the shapes differ too.
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
        The projected class embeddings.
    points
        (n, 2).
    neighbours, cosines
        (n, k) indices of the nearest other classes in the embeddings' space, nearest first, and their cosines.
    label
        Description of the projection, for a caption.
    axes
        Labels of the two axes; empty for t-SNE, whose axes have no meaning.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.embeddings.class_embeddings import from_vectors
    >>> found = map_classes(from_vectors("minilm", get_dataset("hmdb51")), "pca")
    >>> found.points.shape, found.written[0]
    ((51, 2), 'brush hair')
    """

    classes: ClassEmbeddings
    points: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    cosines: NDArray[np.float64]
    label: str
    axes: tuple[str, str]

    @cached_property
    def written(self) -> list[str]:
        """Class names as they are drawn."""
        return [short(name.replace("_", " "), _LONGEST) for name in self.classes.names]

    @cached_property
    def slide(self) -> Arrangement:
        """Places of the classes on a slide, in points (1/72 inch), with room for their names."""
        room = (72 * _SLIDE[0] * _FRAME[2] - 2 * _INSET, 72 * _SLIDE[1] * _FRAME[3] - 2 * _INSET)
        letters = float(np.interp(min(len(self.classes), MOST_LABELS), [20, 100, 120], [12, 9, 8]))
        return self._arranged(room, letters, _RADIUS)

    @cached_property
    def page(self) -> Arrangement:
        """Places of the classes in the interactive picture, in pixels."""
        return self._arranged(_PAGE, _PAGE_LETTERS, _PAGE_RADIUS)

    def _arranged(self, room: tuple[float, float], letters: float, radius: float) -> Arrangement:
        named = np.zeros(len(self.classes), dtype=bool)
        named[spread_out(self.points, MOST_LABELS)] = True
        return move_apart(self.points, self.written, named, room, size=letters, radius=radius)


def map_classes(classes: ClassEmbeddings, projection: MapProjection = "tsne", *, seed: int = 0) -> ClassMap:
    """Project class embeddings to a plane in which classes of similar direction are near each other.

    Embeddings are scaled to unit length first, so that distances are those of the cosine. t-SNE starts from the first
    two principal components; its perplexity is a tenth of the number of classes, between 5 and 30.

    Raises
    ------
    ZslbenchError
        There are fewer than four classes, or an embedding is zero or not finite.
    """
    n = len(classes)
    if n < 4:
        raise ZslbenchError(f"{classes.title} has {n} classes, but a picture needs at least four; choose more classes.")
    vectors = unit(classes.vectors.astype(np.float64))
    if not np.isfinite(vectors).all():
        bad = classes.names[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
        raise ZslbenchError(f"the embedding of {bad} is zero or not finite; choose other features or another method.")
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)  # a class is not its own neighbour
    neighbours = np.argsort(-cosines, axis=1, kind="stable")[:, :_NEIGHBOURS]
    points, label, axes = _pca(vectors) if projection == "pca" else _tsne(vectors, seed)
    return ClassMap(classes, points, neighbours, np.take_along_axis(cosines, neighbours, axis=1), label, axes)


def _pca(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], str, tuple[str, str]]:
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="full")  # exact; for large inputs scikit-learn's default is randomised
    points = pca.fit_transform(vectors)
    first, second = (f"component {i} ({100 * share:.0f} % of variance)" for i, share in
                     enumerate(pca.explained_variance_ratio_, 1))  # fmt: skip
    return points, "PCA", (first, second)


def _tsne(vectors: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], str, tuple[str, str]]:
    from sklearn.manifold import TSNE

    # t-SNE needs a perplexity well below the number of points.
    perplexity = min(float(np.clip(len(vectors) / 10, 5, 30)), (len(vectors) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed, n_jobs=1)
    label = f"t-SNE of the cosine, perplexity {perplexity:.3g}, seed {seed}; only neighbourhoods have a meaning"
    return tsne.fit_transform(vectors).astype(np.float64), label, ("", "")


def spread_out(points: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """Return the sorted indices of ``number`` points that are far from each other.

    The first point is the one nearest to the middle; each next one is the farthest from those before.
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
    """Return the indices of the classes of each style."""
    if classes.seen is None:
        return {"class": np.arange(len(classes))}
    groups = {"seen in training": np.flatnonzero(classes.seen), "unseen": np.flatnonzero(~classes.seen)}
    return {name: places for name, places in groups.items() if len(places)}


def _subtitle(found: ClassMap, arranged: Arrangement) -> str:
    n, counts = len(found.classes), found.classes.counts
    parts = [f"{n} classes"]
    if counts.any():
        parts[0] += f", each the mean of {counts.min()} to {counts.max()} videos"
    parts.append(found.label)
    usual, most = 100 * np.median(arranged.moved), 100 * arranged.moved.max()
    parts.append(
        f"Classes that crowd are moved apart to make room for names: by {usual:.1f} % of the width (median), "
        f"{most:.0f} % at most"
    )
    named = int(arranged.named.sum())
    chosen = ", chosen to spread over the picture" if named < n else ""
    parts.append(f"{named} of {n} classes are named{chosen}")
    return ". ".join(parts) + "."


@plain_text
def scatter_figure(found: ClassMap, *, lines: bool = False, title: str = "") -> Figure:
    """Draw the classes at the size of a slide (16:9), each moved to a place with room for its name.

    Parameters
    ----------
    found
        The result of :func:`map_classes`.
    lines
        Whether to draw a line from each class to its nearest one.
    title
        Title; by default that of the embeddings.

    Returns
    -------
    matplotlib.figure.Figure
        A figure made without pyplot. Of more than 120 classes, only some, spread over the picture, are named; the
        picture says so.
    """
    from textwrap import fill

    figure = blank_figure(_SLIDE, dpi=150)
    axes = figure.add_axes(_FRAME)
    arranged, groups = found.slide, _groups(found.classes)
    points = arranged.places
    if lines:
        from matplotlib.collections import LineCollection

        pairs = points[np.stack([np.arange(len(points)), found.neighbours[:, 0]], axis=1)]
        axes.add_collection(LineCollection(list(pairs), colors="#bbbbbb", linewidths=0.7, zorder=1))
    for name, places in groups.items():
        colour, marker, _ = _STYLES[name]
        x, y = points[places].T
        label = f"{name} ({len(places)})"
        axes.scatter(x, y, s=(2 * _RADIUS) ** 2, c=colour, marker=marker, label=label, linewidths=0, zorder=2)
        for i in places[arranged.named[places]]:
            axes.text(
                points[i, 0] + arranged.offset, points[i, 1], found.written[i], fontsize=arranged.size,
                color=_dark(colour), va="center", zorder=3,
            )  # fmt: skip
    _frame(axes, found)
    heading = figure.text(
        0.025, 0.966, short(title or found.classes.title, 160), fontsize=13, weight="bold", va="center"
    )
    room = 0.95 * figure.bbox.width
    if found.classes.seen is not None:
        legend = figure.legend(loc="upper right", bbox_to_anchor=(0.978, 1.0), ncols=2, fontsize=10, frameon=False)
        room -= legend.get_window_extent().width
    # A long title is reduced to the room beside the legend.
    heading.set_fontsize(13 * min(1, room / heading.get_window_extent().width))
    figure.text(0.025, 0.922, fill(visible(_subtitle(found, arranged)), 180), fontsize=9, color="#444444", va="center")
    return figure


def _frame(axes: Axes, found: ClassMap) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(-_INSET, found.slide.room[0] + _INSET)
    axes.set_ylim(-_INSET, found.slide.room[1] + _INSET)
    axes.set_xlabel(found.axes[0], fontsize=9)
    axes.set_ylabel(found.axes[1], fontsize=9)
    axes.spines[:].set_color("#cccccc")


def _dark(colour: str) -> Any:
    from matplotlib.colors import to_rgb

    return tuple(0.55 * part for part in to_rgb(colour))


def scatter_plotly(found: ClassMap, *, lines: bool = False) -> Any:
    """Draw the same as an interactive plotly figure; the pointer shows class, neighbours and number of videos.

    Parameters
    ----------
    found, lines
        As for :func:`scatter_figure`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ZslbenchError
        plotly, of the extra ``report``, is not installed.
    """
    from html import escape

    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ZslbenchError(
            'interactive pictures need plotly, which is not installed: pip install "zslbench[report]".'
        ) from error
    arranged = found.page
    x, y = arranged.places.T
    figure = go.Figure()
    if lines:
        gap = np.full(len(x), np.nan)
        pairs = [np.stack([values, values[found.neighbours[:, 0]], gap], axis=1).ravel() for values in (x, y)]
        style = {"color": "#aaaaaa", "width": 1}
        figure.add_scatter(x=pairs[0], y=pairs[1], mode="lines", line=style, hoverinfo="skip", name="nearest class")
    hover = _hover_texts(found)
    for name, places in _groups(found.classes).items():
        colour, _, symbol = _STYLES[name]
        figure.add_scatter(
            x=x[places], y=y[places], mode="markers+text", name=f"{name} ({len(places)})",
            text=[escape(found.written[i]) if arranged.named[i] else "" for i in places],
            textposition="middle right", textfont={"size": arranged.size},
            marker={"color": colour, "symbol": symbol, "size": 2 * _PAGE_RADIUS},
            hovertext=[hover[i] for i in places], hoverinfo="text",
        )  # fmt: skip
    figure.update_layout(
        height=720,
        legend={"orientation": "h", "y": 1.04, "x": 1, "xanchor": "right"},
        margin={"l": 30, "r": 20, "t": 50, "b": 30},
        showlegend=found.classes.seen is not None or lines,
    )
    for update, title, length in zip(
        (figure.update_xaxes, figure.update_yaxes), found.axes, arranged.room, strict=True
    ):
        update(showticklabels=False, title=title, zeroline=False, showgrid=False, range=[0, length])
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


def describe_map(found: ClassMap) -> str:
    """Return a text alternative of the picture."""
    pairs: dict[frozenset[str], str] = {}
    for i in np.argsort(-found.cosines[:, 0], kind="stable"):
        pair = (found.classes.names[i], found.classes.names[found.neighbours[i, 0]])
        pairs.setdefault(frozenset(pair), f"{pair[0]} and {pair[1]}")
    return f"A map of {len(found.classes)} classes. The most similar are {'; '.join(list(pairs.values())[:5])}."


def caption(found: ClassMap) -> str:
    """Return the caption of an interactive picture."""
    return f"{_subtitle(found, found.page)} The pointer shows a class's name, videos and nearest classes."
