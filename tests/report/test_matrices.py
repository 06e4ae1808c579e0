"""Heat maps of similarity matrices."""

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
    assert figure.get_supxlabel() == "hatched: undefined pair; white: the diagonal, left out"
    low, high = figure.axes[0].images[0].get_clim()
    assert (low, high) == pytest.approx((0.1, 0.9))  # the diagonal's 1.0 takes no part of the colour scale


def test_a_diagonal_that_counts_is_drawn():
    figure = matrices_figure([("WordNet", blocks()[0])], list("abcdef"), diagonal=True)
    assert not np.ma.getmaskarray(figure.axes[0].images[0].get_array()).any()
    assert figure.get_supxlabel() == ""


@pytest.mark.parametrize(("n", "shown"), [(110, 110), (400, 100)])
def test_labels_are_thinned_where_they_could_not_be_read(n, shown):
    similarity = np.random.default_rng(0).random((n, n))
    figure = matrices_figure([("WordNet", similarity)], [f"class {i}" for i in range(n)])
    labels = figure.axes[0].get_yticklabels()
    assert len(labels) == shown
    assert all(label.get_fontsize() >= 4.5 for label in labels)


def test_four_matrices_stand_in_two_rows(tmp_path):
    similarity, _ = blocks()
    figure = matrices_figure([(str(i), similarity) for i in range(4)], list("abcdef"))
    assert len({round(axes.get_position().y0, 6) for axes in figure.axes if axes.get_title(loc="left")}) == 2
    figure.savefig(tmp_path / "four.png")
    assert (tmp_path / "four.png").stat().st_size > 5000
