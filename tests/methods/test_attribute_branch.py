"""BIKE's branch of attributes, against its released code: sentences, head, loss and the sum of both branches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from text_world import DIM, Teller, world

from zslbench.errors import OutOfVocabularyError, ZslbenchError
from zslbench.method import Classes, Report, Videos
from zslbench_methods._sentences import sentences
from zslbench_methods.bike import BIKE

pytest.importorskip("torch")  # here, for it takes seconds
FREE = {"adapter": False, "temperature": 0.05, "centre": False, "input_scale": "none"}


def fitted(values: Any, data: tuple[Any, Classes, Any, Classes]) -> tuple[Any, Report]:
    method, report = BIKE(values), Report()
    method.fit(data[0], data[1], None, report)
    return method, report


def shares(row: Any) -> Any:
    powers = np.exp(np.asarray(row, dtype=np.float64))
    return powers / powers.sum()


def normal(rows: Any) -> Any:
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def perceptron(state: Any, which: str, rows: Any) -> Any:
    """Linear, ReLU, Linear, as ``sentence_text_logit`` of the released code."""
    first, second = (state[f"head.network.{which}.weights.{i}"].astype(np.float64) for i in (0, 1))
    below, above = (state[f"head.network.{which}.biases.{i}"].astype(np.float64) for i in (0, 1))
    return np.maximum(rows @ first.T + below, 0) @ second.T + above


def test_a_sentence_has_the_nearest_phrases_of_the_lexicon_in_their_order() -> None:
    lexicon = ("north", "east", "south")
    vectors = np.array([[0, 1], [1, 0], [0, -1]], dtype=np.float32)
    videos = Videos.from_arrays([np.array([[3.0, 1.0], [5.0, 1.0]]), np.array([[0.5, -4.0]])])
    assert sentences(videos, lexicon, vectors, 2) == [
        "This is a video about east,north",
        "This is a video about south,east",
    ]


@pytest.mark.parametrize("attributes", ["cosine", "head"])
def test_scores_are_seven_tenths_of_the_frames_shares_and_three_of_the_sentences(attributes: Any) -> None:
    _, classes, videos, unseen = data = world(n_seen=8, per_class=4)
    settings = {**FREE, "attributes": attributes, "n_attributes": 2, "epochs": 1, "min_batches": 3, "lr": 1e-2}
    method, _ = fitted(settings, data)
    alone, _ = fitted(FREE, data)
    frames = alone.score(videos, unseen)
    phrases = [text for texts in classes.texts or () for text in texts[1:]]
    encode = classes.encode
    assert encode is not None
    near = normal(encode(phrases))
    state = method.state()
    found = method.score(videos, unseen)
    for i in range(len(videos)):
        cosines = near @ videos.sequence(i).mean(axis=0)
        chosen = sorted(range(len(phrases)), key=lambda k: -cosines[k])[:2]
        said = normal(encode(["This is a video about " + ",".join(phrases[k] for k in chosen)]))
        named = normal(unseen.vectors)
        if attributes == "head":
            said, named = normal(perceptron(state, "sentence", said)), normal(perceptron(state, "query", named))
        wanted = 0.7 * shares(frames[i]) + 0.3 * shares((said @ named.T)[0])
        np.testing.assert_allclose(found[i], wanted, atol=1e-5)


def test_the_lexicon_is_of_seen_classes_alone_and_no_unseen_text_is_asked_for() -> None:
    _, classes, videos, unseen = data = world(n_seen=8, per_class=4)
    assert isinstance(classes.encode, Teller)
    for lexicon in ("attributes", "names"):
        method, _ = fitted({**FREE, "attributes": "cosine", "lexicon": lexicon}, data)
        assert method.trains
        classes.encode.asked.clear()
        method.score(videos, unseen)
        phrases = {phrase for text in classes.encode.asked if "about" in text for phrase in text[22:].split(",")}
        known = (
            {text for texts in classes.texts or () for text in texts[1:]}
            if lexicon == "attributes"
            else set(classes.names)
        )
        assert phrases
        assert phrases <= known


@pytest.mark.slow
def test_the_head_learns_classes_it_has_never_seen_and_is_restored() -> None:
    _, _, videos, unseen = data = world(n_seen=40, said=2)
    settings = {**FREE, "attributes": "head", "share": 1.0, "epochs": 6, "min_batches": 20, "lr": 1e-2}
    settings["n_attributes"] = 1
    method, _ = fitted(settings, data)
    found = method.score(videos, unseen)
    wanted = np.repeat(np.arange(len(unseen)), len(videos) // len(unseen))
    assert (found.argmax(axis=1) == wanted).mean() > 0.4  # chance 0.25
    again = BIKE(settings)
    again.restore(method.state())
    np.testing.assert_array_equal(again.score(videos, unseen), found)


def test_class_vectors_that_encode_nothing_at_run_time_are_refused_in_a_sentence() -> None:
    seen, classes, videos, unseen = world(n_seen=8, per_class=4)

    def encode(texts: Any) -> Any:
        if any("about" in text for text in texts):
            raise OutOfVocabularyError("not stored")
        return np.ones((len(texts), DIM), dtype=np.float32)

    classes = Classes(classes.names, classes.vectors, classes.texts, encode=encode)
    with pytest.raises(ZslbenchError, match="encodes a sentence for each video while it runs"):
        fitted({**FREE, "attributes": "head"}, (seen, classes, videos, unseen))
