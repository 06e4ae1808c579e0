"""Heat maps of similarity matrices."""

import itertools

import numpy as np
import pytest

from zslbench.report.matrices import cluster_order, matrices_figure


def blocks():
    """Two groups of alike classes, shuffled among each other."""
    group = np.array([0, 1, 0, 1, 1, 0])
    return np.where(group[:, None] == group, 0.9, 0.1) + 0.1 * np.eye(6), group


def test_alike_classes_stand_side_by_side():
    similarity, group = blocks()
    order = cluster_order(similarity)
    assert sorted(order) == list(range(6))
    assert (np.diff(group[order]) != 0).sum() == 1


def test_undefined_pairs_do_not_stop_the_ordering():
    similarity, _ = blocks()
    similarity[0, 1] = similarity[1, 0] = np.nan
    assert sorted(cluster_order(similarity)) == list(range(6))
    assert list(cluster_order(similarity[:2, :2])) == [0, 1]


def test_every_panel_has_the_first_ones_order_and_its_title():
    similarity, _ = blocks()
    names = list("abcdef")
    other = np.arange(36.0).reshape(6, 6)
    figure = matrices_figure([("WordNet", similarity), ("vectors", other)], names, title="toy")
    order = cluster_order(similarity)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["WordNet", "vectors"]
    np.testing.assert_array_equal(panels[1].images[0].get_array(), other[np.ix_(order, order)])
    for axes in panels:
        assert [text.get_text() for text in axes.get_xticklabels()] == [names[i] for i in order]


def test_undefined_pairs_and_a_diagonal_left_out_are_masked_and_explained():
    similarity, _ = blocks()
    similarity[0, 1] = np.nan
    figure = matrices_figure([("WordNet", similarity)], list("abcdef"), diagonal=False)
    mask = np.ma.getmaskarray(figure.axes[0].images[0].get_array())
    assert mask.sum() == 6 + 1
    assert np.diag(mask).all()
    assert figure.axes[0].patch.get_hatch()
    assert figure.get_suptitle() == "hatched: undefined pair; white: the diagonal, left out"
    low, high = figure.axes[0].images[0].get_clim()
    assert (low, high) == pytest.approx((0.1, 0.9))  # the diagonal's 1.0 takes no part of the colour scale


def test_a_diagonal_that_counts_is_drawn():
    figure = matrices_figure([("WordNet", blocks()[0])], list("abcdef"), diagonal=True)
    assert not np.ma.getmaskarray(figure.axes[0].images[0].get_array()).any()
    assert figure.get_suptitle() == ""


@pytest.mark.parametrize(
    ("n", "told"),
    [
        pytest.param(40, "", marks=pytest.mark.slow),
        pytest.param(110, "every second class is named", marks=pytest.mark.slow),
        pytest.param(353, "every 5th class", marks=pytest.mark.slow),
    ],
)
def test_names_are_legible_and_thinned_and_cut_where_they_could_not_be(n, told):
    similarity = np.random.default_rng(0).random((n, n))
    names = [f"class {i} of a name that is too long to be written out" for i in range(n)]
    figure = matrices_figure([("WordNet", similarity), ("vectors", similarity)], names, diagonal=False, title="toy")
    assert told in figure.get_suptitle()
    figure.canvas.draw()
    everything = [figure._suptitle, *(axes.title for axes in figure.axes)]
    for axes in figure.axes[:2]:
        columns, rows = axes.get_xticklabels(), axes.get_yticklabels()
        assert all(label.get_fontsize() >= 8 for label in [*columns, *rows])
        everything += columns
        boxes = [label.get_window_extent() for label in columns]
        assert all(one.x1 <= other.x0 + 1 for one, other in itertools.pairwise(boxes))
    everything += figure.axes[0].get_yticklabels()
    boxes = [text.get_window_extent() for text in everything if text.get_text()]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in boxes)
    title, *labels = boxes
    assert not any(title.overlaps(label) for label in labels)


def test_four_matrices_stand_in_two_rows(tmp_path):
    similarity, _ = blocks()
    figure = matrices_figure([(str(i), similarity) for i in range(4)], list("abcdef"))
    assert len({round(axes.get_position().y0, 6) for axes in figure.axes if axes.get_title(loc="left")}) == 2
    figure.savefig(tmp_path / "four.png")
    assert (tmp_path / "four.png").stat().st_size > 5000
