"""Class embeddings in the plane: the projection, the picture for slides, and the interactive one."""

import io
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from zslbench.datasets.catalog import get_dataset
from zslbench.embeddings.class_embeddings import ClassEmbeddings, from_vectors
from zslbench.errors import ZslbenchError
from zslbench.report._apart import move_apart
from zslbench.report.page import Page
from zslbench.report.scatter import (
    MOST_LABELS,
    caption,
    describe_map,
    map_classes,
    scatter_figure,
    scatter_plotly,
    spread_out,
)


def embeddings(n=40, seed=0, seen=True):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, 8)).astype(np.float32) * rng.uniform(0.1, 9, size=(n, 1)).astype(np.float32)
    flags = rng.random(n) < 0.5 if seen else None
    return ClassEmbeddings("toys", tuple(f"class_{i}" for i in range(n)), vectors, np.arange(1, n + 1), flags)


@pytest.fixture(scope="module")
def ucf101():
    """The class vectors of UCF101, every second class called seen."""
    found = from_vectors("minilm", get_dataset("ucf101"))
    return map_classes(ClassEmbeddings(found.title, found.names, found.vectors, found.counts, np.arange(101) % 2 == 0))


@pytest.mark.parametrize("projection", ["tsne", "pca"])
def test_two_runs_give_the_same_points(projection):
    first, second = (map_classes(embeddings(), projection) for _ in range(2))
    assert first.points.shape == (40, 2)
    np.testing.assert_array_equal(first.points, second.points)


def test_two_runs_give_the_same_picture():
    found = map_classes(embeddings())
    files = []
    for _ in range(2):
        np.random.random()  # noqa: NPY002 - whatever state the global generator is in
        buffer = io.BytesIO()
        scatter_figure(found, lines=True).savefig(buffer, format="png", metadata={"Software": None})
        files.append(buffer.getvalue())
    assert files[0] == files[1]


def test_neighbourhoods_survive_the_projection(ucf101):
    unit = ucf101.classes.vectors / np.linalg.norm(ucf101.classes.vectors, axis=1, keepdims=True)
    assert trustworthiness(unit, ucf101.points, n_neighbors=5) > 0.85
    assert trustworthiness(unit, np.random.default_rng(0).permutation(ucf101.points), n_neighbors=5) < 0.6


def test_length_does_not_matter_and_neighbours_are_those_by_cosine():
    classes = embeddings()
    found = map_classes(classes, "pca")
    longer = ClassEmbeddings("x", classes.names, classes.vectors * np.arange(1, 41)[:, None], classes.counts)
    np.testing.assert_allclose(np.abs(map_classes(longer, "pca").points), np.abs(found.points), atol=1e-6)
    for i, near in enumerate(found.neighbours):
        cosines = {
            j: float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            for j in range(40)
            if j != i
            for a, b in [(classes.vectors[i].astype(float), classes.vectors[j].astype(float))]
        }
        best = sorted(cosines, key=lambda j: -cosines[j])[:3]
        assert near.tolist() == best
        np.testing.assert_allclose(found.cosines[i], [cosines[j] for j in best], rtol=1e-6)


@pytest.mark.parametrize("n", [4, 5, 12])
def test_few_classes_are_drawn(n):
    assert np.isfinite(map_classes(embeddings(n)).points).all()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ZslbenchError, match="needs at least four"):
        map_classes(embeddings(3))
    classes = embeddings(9)
    classes.vectors[4] = 0
    with pytest.raises(ZslbenchError, match="class_4 is zero"):
        map_classes(classes)


def test_every_class_is_a_point_and_seen_and_unseen_differ_in_colour_and_shape():
    found = map_classes(embeddings())
    seen, unseen = scatter_figure(found).axes[0].collections
    flags = found.classes.seen
    np.testing.assert_allclose(seen.get_offsets(), found.slide.places[flags])
    np.testing.assert_allclose(unseen.get_offsets(), found.slide.places[~flags])
    assert (seen.get_facecolor() != unseen.get_facecolor()).any()
    assert len(seen.get_paths()[0].vertices) != len(unseen.get_paths()[0].vertices)


def test_lines_tie_each_class_to_its_nearest():
    found = map_classes(embeddings())
    lines = scatter_figure(found, lines=True).axes[0].collections[0].get_segments()
    assert len(lines) == 40
    np.testing.assert_allclose(lines[7], found.slide.places[[7, found.neighbours[7, 0]]])


@pytest.fixture(scope="module")
def clustered():
    """A hundred classes in six tight groups, as a trained network embeds them."""
    rng = np.random.default_rng(0)
    group = np.arange(100) % 6
    vectors = (rng.standard_normal((6, 32))[group] + 0.1 * rng.standard_normal((100, 32))).astype(np.float32)
    names = tuple(f"{'Playing' * (i % 2)}Instrument{i}" for i in range(100))
    return map_classes(ClassEmbeddings("groups", names, vectors, np.full(100, 9), group < 3))


def label_boxes(figure):
    """Return name -> its box in points, as it is drawn."""
    figure.canvas.draw()
    return {text.get_text(): 72 / figure.dpi * text.get_window_extent().get_points() for text in figure.axes[0].texts}


def off(box, middles):
    """Return how far middles (n, 2) lie from a box."""
    return np.linalg.norm(np.maximum(np.maximum(box[0] - middles, middles - box[1]), 0), axis=1)


@pytest.mark.parametrize("which", ["ucf101", "clustered"])
def test_names_on_a_slide_cover_nothing_and_each_is_nearest_to_its_own_marker(request, which):
    found = request.getfixturevalue(which)
    figure = scatter_figure(found)
    width, height = figure.get_size_inches()
    assert width / height == pytest.approx(16 / 9, rel=1e-3)
    boxes = label_boxes(figure)
    assert sorted(boxes) == sorted(found.classes.names)
    assert min(text.get_fontsize() for text in figure.axes[0].texts) >= 8
    middles = 72 / figure.dpi * figure.axes[0].transData.transform(found.slide.places)
    for i, name in enumerate(found.classes.names):
        away = off(boxes[name], middles)
        assert away.min() > 3  # the radius of a marker: no name touches one
        assert np.argmin(away) == i
    assert not [pair for pair in itertools.combinations(boxes.values(), 2) if overlap(*pair)]
    frame = 72 / figure.dpi * figure.axes[0].get_window_extent().get_points()
    assert all((frame[0] < box[0]).all() and (box[1] < frame[1]).all() for box in boxes.values())


def overlap(a, b):
    return bool((np.minimum(a[1], b[1]) > np.maximum(a[0], b[0])).all())


def test_moving_apart_keeps_neighbourhoods_and_the_picture_says_how_far_classes_were_moved(clustered):
    vectors = clustered.classes.vectors
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    before, after = (trustworthiness(unit, xy, n_neighbors=5) for xy in (clustered.points, clustered.slide.places))
    assert before - 0.05 < after
    moved = f"{100 * clustered.slide.moved.max():.0f} % at most"
    (told,) = (text.get_text() for text in scatter_figure(clustered).texts if "moved apart" in text.get_text())
    assert moved in " ".join(told.split())


def test_where_there_is_no_room_for_a_name_the_marker_stands_alone():
    points = np.random.default_rng(0).standard_normal((60, 2))
    found = move_apart(points, ["a rather long name"] * 60, np.ones(60, dtype=bool), (200, 100), size=9, radius=3)
    assert 0 < found.named.sum() < 60
    assert len(np.unique(found.places, axis=0)) == 60
    assert (found.places[found.named, 0] < 200 - 90).all()


def test_points_in_one_place_are_moved_apart():
    found = move_apart(np.zeros((5, 2)), list("abcde"), np.ones(5, dtype=bool), (300, 200), size=9, radius=3)
    assert found.named.all()
    assert len(np.unique(found.places, axis=0)) == 5


def test_of_400_classes_a_spread_out_part_is_named_and_the_picture_says_so():
    figure = scatter_figure(map_classes(from_vectors("minilm", get_dataset("kinetics400")), "pca"))
    assert len(figure.axes[0].texts) == MOST_LABELS
    assert any(f"{MOST_LABELS} of 400 classes are named" in text.get_text() for text in figure.texts)
    assert sum(len(drawn.get_offsets()) for drawn in figure.axes[0].collections) == 400


def test_named_points_lie_farther_apart_than_random_ones():
    points = np.random.default_rng(0).standard_normal((300, 2))

    def closest(places):
        distances = np.linalg.norm(points[places][:, None] - points[places], axis=2)
        return distances[np.triu_indices(len(places), 1)].min()

    assert len(set(spread_out(points, 50).tolist())) == 50
    assert closest(spread_out(points, 50)) > 5 * closest(np.arange(50))
    np.testing.assert_array_equal(spread_out(points[:7], 50), np.arange(7))


def test_the_interactive_picture_tells_class_neighbours_and_videos():
    found = map_classes(embeddings())
    seen, unseen = scatter_plotly(found).data
    assert len(seen.x) + len(unseen.x) == 40
    assert (seen.marker.symbol, seen.marker.color) != (unseen.marker.symbol, unseen.marker.color)
    assert seen.marker.symbol != unseen.marker.symbol
    place = int(np.flatnonzero(found.classes.seen)[0])
    nearest = found.classes.names[found.neighbours[place, 0]]
    assert f"<b>class_{place}</b> (seen in training)" in seen.hovertext[0]
    assert f"mean of {place + 1} videos" in seen.hovertext[0]
    assert f"nearest: {nearest} {found.cosines[place, 0]:.2f}" in seen.hovertext[0]
    assert len(scatter_plotly(found, lines=True).data) == 3


def test_names_cannot_inject_markup():
    classes = embeddings(6, seen=False)
    classes = ClassEmbeddings("x", ("<script>alert(1)</script>", *classes.names[1:]), classes.vectors, classes.counts)
    (trace,) = scatter_plotly(map_classes(classes, "pca")).data
    assert "<script>" not in "".join([*trace.hovertext, *trace.text])


def test_the_page_is_one_file_that_needs_no_network(tmp_path):
    found = map_classes(embeddings())
    page = Page("toys")
    page.figure(scatter_plotly(found), describe_map(found), caption(found))
    page.write(tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert "class_7" in html
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=[\"']?(https?:)?//", html)


def test_the_interactive_picture_names_classes_where_a_window_of_1000_pixels_has_room(clustered):
    figure = scatter_plotly(clustered)
    named = [name for trace in figure.data for name in trace.text if name]
    assert sorted(named) == sorted(clustered.classes.names)
    assert {trace.textposition for trace in figure.data} == {"middle right"}
    placed = np.vstack([np.column_stack([trace.x, trace.y]) for trace in figure.data])
    widths = np.array([5.0 * len(name) for trace in figure.data for name in trace.text])  # 10 px letters are wider
    for i, (x, y) in enumerate(placed):
        covers = (placed[:, 0] > x) & (placed[:, 0] - 4.5 < x + widths[i]) & (np.abs(placed[:, 1] - y) < 4.5 + 5)
        assert not covers.any()


@pytest.mark.parametrize("dataset", ["ucf101", pytest.param("kinetics400", marks=pytest.mark.slow)])
def test_captions_tell_how_many_classes_are_named(dataset):
    found = map_classes(from_vectors("minilm", get_dataset(dataset)), "pca")
    n, named = len(found.classes), sum(bool(name) for trace in scatter_plotly(found).data for name in trace.text)
    assert f"{named} of {n} classes are named" in caption(found)
    figure = scatter_figure(found)
    told = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert f"{len(figure.axes[0].texts)} of {n} classes are named" in told


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    found = map_classes(embeddings(6), "pca")
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ZslbenchError, match=r'pip install "zslbench\[report\]"'):
        scatter_plotly(found)


def test_importing_the_module_is_light():
    heavy = "{'matplotlib', 'plotly', 'sklearn', 'torch', 'gensim', 'mlflow'}"
    code = f"import sys, zslbench.report.scatter, zslbench.cli.embeddings; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
