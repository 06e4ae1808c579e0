"""The nearest class text on a hand-computed case and its refusal of two spaces."""

import numpy as np
import pytest

from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Classes, Report, SeenVideos, Videos
from zslbench_methods.nearest_text import ClipZeroShot, NearestText

CLASSES = Classes(("right", "up"), np.array([[2, 0], [0, 5]], dtype=np.float32))
SEEN = SeenVideos.from_arrays(np.ones((2, 2), dtype=np.float32), labels=np.array([0, 1]))


@pytest.mark.parametrize("chosen", [NearestText, ClipZeroShot])
def test_a_score_is_the_cosine_of_the_mean_frame_and_the_class_vector(chosen):
    method = chosen()
    method.fit(SEEN, CLASSES, None, Report())
    videos = Videos.from_arrays([np.array([[6.0, 0], [0, 8]]), np.array([[0.0, 3]])])  # the means: (3, 4), (0, 3)
    np.testing.assert_allclose(method.score(videos, CLASSES), [[0.6, 0.8], [0, 1]], atol=1e-6)


def test_features_of_another_space_are_refused_with_the_remedy():
    wide = SeenVideos.from_arrays(np.ones((2, 3), dtype=np.float32), labels=np.array([0, 1]))
    with pytest.raises(ZslbenchError, match=r"features have 3 values and class vectors 2; choose --features"):
        NearestText().fit(wide, CLASSES, None, Report())
    method = NearestText()
    method.fit(SEEN, CLASSES, None, Report())
    with pytest.raises(ZslbenchError, match="features of 2 values, not 3"):
        method.score(wide.unlabelled(), CLASSES)


def test_it_declares_class_vectors_alone():
    assert NearestText().budget == {Budget.CLASS_VECTORS}
