import numpy as np

from zslbench.method import Classes, Report
from zslbench.tokens import TokenVectors


def test_notes_and_warnings_take_whatever_a_method_says():
    report = Report()
    report.note(layers=[1, 2], nothing=None, count=np.int64(3), share=np.float32(0.5))
    report.warn(ValueError("odd"))
    assert report.notes == {"layers": "[1, 2]", "nothing": "None", "count": 3.0, "share": 0.5}
    assert report.warnings == ["odd"]


def test_taken_classes_keep_names_vectors_texts_and_attributes_together():
    classes = Classes(("a", "b", "c"), np.eye(3, dtype=np.float32), (("x",), ("y",), ("z",)), np.arange(3.0)[:, None])
    taken = classes.take(np.array([2, 0]))
    assert taken.names == ("c", "a")
    assert taken.texts == (("z",), ("x",))
    assert taken.vectors.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert taken.attributes.tolist() == [[2], [0]]
    assert classes.take(np.array([True, False, True])).names == ("a", "c")


def test_taken_and_joined_classes_keep_their_own_tokens():
    tokens = tuple((TokenVectors(np.full((2, 3), i, dtype=np.float16), np.array([False, True])),) for i in range(3))
    classes = Classes(("a", "b", "c"), np.eye(3, dtype=np.float32), tokens=tokens)
    taken = classes.take(np.array([2, 0]))
    assert [each.rows[0, 0] for (each,) in taken.tokens] == [2, 0]
    joined = taken.join(classes.take([1]))
    assert [each.rows[0, 0] for (each,) in joined.tokens] == [2, 0, 1]
    assert taken.join(Classes(("d",), np.ones((1, 3), dtype=np.float32))).tokens is None
