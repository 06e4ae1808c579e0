"""What names in a picture must not cover."""

import itertools

import numpy as np


def assert_nothing_covered(axes, texts, markers, radius):
    """Fail where a text lies on a marker (n, 2) of that radius in points, on another text or outside the frame."""
    axes.figure.canvas.draw()
    scale = axes.figure.dpi / 72
    boxes = {text.get_text(): text.get_window_extent().get_points() for text in texts}
    frame, middles = axes.get_window_extent().get_points(), axes.transData.transform(markers)
    for name, box in boxes.items():
        away = np.linalg.norm(np.maximum(np.maximum(box[0] - middles, middles - box[1]), 0), axis=1)
        assert away.min() > radius * scale, name
        assert (frame[0] <= box[0]).all(), name
        assert (box[1] <= frame[1]).all(), name
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        assert (np.minimum(a[1], b[1]) <= np.maximum(a[0], b[0])).any(), f"{one} lies on {other}"
