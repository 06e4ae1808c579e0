"""The words of BIKE and STI as token vectors, against the released formula, and what a method lacks or may not see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from text_world import DIM, Teller, world

from zslbench.errors import ZslbenchError
from zslbench.method import Classes, Report
from zslbench.tokens import TokenVectors
from zslbench_methods.bike import BIKE
from zslbench_methods.sti import STI

pytest.importorskip("torch")  # here, for it takes seconds
FREE = {"adapter": False, "centre": False, "input_scale": "none", "spatial": "none"}


def softmax(values: Any) -> Any:
    values = np.exp(np.asarray(values) - np.max(values))
    return values / values.sum()


def fitted(method: Any, data: tuple[Any, Classes, Any, Classes]) -> tuple[Any, Report]:
    report = Report()
    method.fit(data[0], data[1], None, report)
    return method, report


def frames_of(videos: Any) -> list[Any]:
    return [videos.sequence(i) for i in range(len(videos))]


def released_vcs(frames: Any, token_rows: Any, name: Any) -> float:
    """Return the score of a video and a class as BIKE's released ``get_logits`` computes it, in loops of float64.

    With tokens w and frames t: einsum('wd,td->wt'), softmax(. / 0.01) over t, mean over w, weighted sum, product.
    """
    frames, token_rows, name = (np.asarray(rows, dtype=np.float64) for rows in (frames, token_rows, name))
    frames = frames / np.linalg.norm(frames, axis=1, keepdims=True)
    token_rows = token_rows / np.linalg.norm(token_rows, axis=1, keepdims=True)
    weights = np.zeros(len(frames))
    for token in token_rows:
        weights += softmax([float(token @ frame) / 0.01 for frame in frames]) / len(token_rows)
    spotted_frames = sum(weight * frame for weight, frame in zip(weights, frames, strict=True))
    return float(spotted_frames @ (name / np.linalg.norm(name)))


def with_tokens(classes: Classes, counts: tuple[int, ...] = (9, 5, 4, 6), seed: int = 0) -> Classes:
    """Return classes whose name has ``counts[0]`` token positions, and whose texts have the others."""
    rng = np.random.default_rng(seed)

    def made(count: int) -> TokenVectors:
        words = np.zeros(count, dtype=bool)
        words[1 : 1 + int(rng.integers(1, count - 1))] = True  # not the start, and other numbers per class
        return TokenVectors(rng.standard_normal((count, DIM)).astype(np.float16), words)

    return replace(classes, tokens=tuple(tuple(made(count) for count in counts) for _ in classes.names))


def test_released_bike_scores_by_the_released_formula_over_all_token_positions() -> None:
    seen, _, videos, unseen = world()
    unseen = with_tokens(unseen)
    method = BIKE(BIKE.presets["released"])
    assert not method.trains
    nothing = Classes((), np.zeros((0, DIM), dtype=np.float32), (), encode=unseen.encode)
    method.fit(seen.take(np.arange(0)), nothing, None, Report())
    found = method.score(videos, unseen)
    for c, (name, *_) in enumerate(unseen.tokens or ()):
        for i, frames in enumerate(frames_of(videos)):
            assert found[i, c] == pytest.approx(released_vcs(frames, name.rows, unseen.vectors[c]), abs=1e-5)
    assert isinstance(unseen.encode, Teller)
    assert not unseen.encode.asked  # the words are the tokens, not encoded texts


def test_tokens_alone_leave_out_prompt_start_end_and_padding() -> None:
    seen, classes, videos, unseen = world()
    unseen = with_tokens(unseen)
    method, _ = fitted(
        BIKE({**BIKE.presets["released"], "words": "tokens"}), (seen, with_tokens(classes), videos, unseen)
    )
    found = method.score(videos, unseen)
    for c, (name, *_) in enumerate(unseen.tokens or ()):
        wanted = [released_vcs(each, name.rows[name.words], unseen.vectors[c]) for each in frames_of(videos)]
        np.testing.assert_allclose(found[:, c], wanted, atol=1e-5)


@pytest.mark.parametrize("words", ["tokens", "all"])
def test_stis_words_are_the_tokens_of_its_attributes_or_of_the_definition(words: Any) -> None:
    """The name and the definition do not count, nor attributes beyond n_attributes, unless there is nothing else."""
    seen, classes, videos, unseen = world()
    some, bare = with_tokens(unseen), with_tokens(unseen, (9, 5))
    settings = {**FREE, "temperature": 0.01, "n_attributes": 1, "words": words}
    method, _ = fitted(STI(settings), (seen, with_tokens(classes), videos, some))
    for told, place in ((some, 2), (bare, 1)):
        found = method.score(videos, told)
        for c, tokens in enumerate(told.tokens or ()):
            rows = tokens[place].rows if words == "all" else tokens[place].rows[tokens[place].words]
            wanted = [released_vcs(each, rows, unseen.vectors[c]) for each in frames_of(videos)]
            np.testing.assert_allclose(found[:, c], wanted, atol=1e-5)


@pytest.mark.parametrize("method", [BIKE, STI])
def test_a_trained_head_scores_new_classes_by_their_own_tokens(method: Any) -> None:
    seen, classes, videos, unseen = world()
    fit, report = fitted(
        method({"epochs": 1, "min_batches": 1, "words": "all"}), (seen, with_tokens(classes), videos, unseen)
    )
    assert report.epochs
    whole, others = (fit.score(videos, with_tokens(unseen, seed=seed)) for seed in (0, 1))
    assert not np.allclose(whole, others)
    few = np.array([2, 0])
    np.testing.assert_allclose(fit.score(videos, with_tokens(unseen).take(few)), whole[:, few], atol=1e-6)


@pytest.mark.parametrize("method", [BIKE, STI])
def test_without_tokens_one_sentence_names_the_command_that_makes_them(method: Any) -> None:
    seen, classes, videos, unseen = world()
    for lacking in (classes, with_tokens(classes, (9,))) if method is STI else (classes,):
        with pytest.raises(ZslbenchError, match=r"'zslbench semantics import NAME --model MODEL .* --tokens'"):
            fitted(method({"words": "all", "epochs": 1}), (seen, lacking, videos, unseen))
