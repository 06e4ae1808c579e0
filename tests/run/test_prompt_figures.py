"""Accuracy over prompts: what is tested, what is encoded, and figures against a loop of one's own."""

import hashlib

import numpy as np
import pytest
from audited import written

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.method import Report
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.run.prompt_figures import Prompt, make_prompts, measure_prompts
from zslbench.semantics.prompts import read_template
from zslbench.stats.paired import compare_classes

CLASSES = ("brush_hair", "chew", "fencing", "golf", "jump", "pick", "pour", "shoot_bow")
DIM = 12


def row_of(text):
    """Return the unit vector of a text: the same for capitals, near for other templates, another for other words."""
    total = np.zeros(DIM)
    for word in text.lower().split():
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        total += np.random.default_rng(seed).normal(size=DIM)
    return total / np.linalg.norm(total)


class Encoder:
    """Encodes texts, and remembers which."""

    def __init__(self):
        self.batches = []

    def __call__(self, texts):
        self.batches.append(list(texts))
        return {text: row_of(text) for text in texts}


@pytest.fixture
def features():
    rng = np.random.default_rng(3)
    spelt = {name: name.replace("_", " ") for name in CLASSES}
    return written([
        (f"{name}_{i}", name, (row_of(spelt[name]) + 0.3 * rng.normal(size=(2, DIM))).astype(np.float32))
        for name in CLASSES
        for i in range(5 + (name == "golf"))
    ])  # fmt: skip


def planned(*methods, **more):
    settings = {"method": methods, "dataset": "hmdb51", "features": "written", "splits": "1", "family": "random-50/50"}
    return make_plan(make_experiment(settings | more), own_vectors=False)


def expected(features, names, template):
    """Return the videos right per class, by a loop over videos."""
    found = features.dataset.spelling(names)
    vectors = []
    for name in features.covered:
        rows = [row_of(each.replace("{}", found[name])) for each in read_template(template)]
        vectors.append(np.mean(rows, axis=0) / np.linalg.norm(np.mean(rows, axis=0)))
    right = dict.fromkeys(features.covered, 0)
    for i, label in enumerate(features.labels):
        mean = features.store.gather(np.array([i])).mean(axis=0)
        cosines = [mean @ vector / np.linalg.norm(mean) for vector in vectors]
        name = features.dataset.classes[label]
        right[name] += features.covered[int(np.argmax(cosines))] == name
    return [right[name] for name in sorted(right)]


def test_every_class_is_scored_at_once_and_each_text_is_encoded_once(features):
    encode = Encoder()
    prompts = make_prompts(["official", "spaced", "plain"], ["none", "a video of {}", "clip-kinetics"])
    found = measure_prompts(planned("nearest-text"), prompts, encode, all_classes=True)
    (batch,) = encode.batches
    assert len(batch) == len(set(batch))
    assert found.classes == tuple(sorted(CLASSES))
    assert found.scored.tolist() == [[5 + (name == "golf") for name in sorted(CLASSES)]]
    assert found.same == {"plain": "spaced"}
    assert {prompt.names for prompt in found.prompts} == {"official", "spaced"}
    assert len(found.prompts) == 2 * (2 + 28 + 1)  # each of CLIP's templates, and their mean


def test_figures_are_those_of_a_loop_over_videos(features):
    prompts = make_prompts(["official", "plain"], ["none", "a video of {}", "clip-kinetics"])
    found = measure_prompts(planned("nearest-text"), prompts, Encoder(), all_classes=True)
    for names, template in (("official", "none"), ("plain", "a video of {}"), ("official", "clip-kinetics")):
        i = found.prompts.index(Prompt(names, template))
        right = expected(features, names, template)
        assert found.correct[0, i, 0].tolist() == right
        assert found.accuracy("top1")[0, i] == pytest.approx(sum(right) / found.scored.sum())
        assert found.accuracy("top1_per_class")[0, i] == pytest.approx(np.mean(right / found.scored[0]))
    assert len({tuple(counts) for counts in found.correct[0, :, 0].tolist()}) > 1  # the prompts matter here
    assert found.prompts[found.usual] == Prompt("plain", "none")


def test_a_method_that_trains_has_the_figures_of_a_run(features):
    plan = planned("ridge", "nearest-text", splits="2")
    hmdb51 = get_dataset("hmdb51")
    with np.load(hmdb51.vectors["minilm"]) as arrays:
        table = dict(zip(arrays["phrases"].tolist(), arrays["vectors"].astype(np.float32), strict=True))
    found = measure_prompts(planned("ridge", splits="2"), [Prompt("plain", "none")], lambda texts: table)
    for cell in plan.cells:
        if cell.method == "ridge":
            counts = evaluate(cell, Report()).result.classes
            place = np.searchsorted(found.classes, counts.names)
            assert found.scored[cell.split, place].tolist() == list(counts.scored)
            assert found.correct[0, 0, cell.split, place].tolist() == list(counts.top1)
            assert found.scored[cell.split].sum() == sum(counts.scored)


def test_the_lead_is_paired_over_classes(features):
    found = measure_prompts(planned("nearest-text", "random"), make_prompts(["plain", "official"], ["none"]), Encoder(),
                            all_classes=True)  # fmt: skip
    for lead, first, second in zip(found.leads("top1_per_class", 1), *found.correct, strict=True):
        alone = compare_classes((first[0] - second[0]) / found.scored[0])
        assert (lead.mean, lead.low, lead.high) == pytest.approx((alone.mean, alone.low, alone.high))


def test_a_missing_table_of_names_is_refused(features):
    with pytest.raises(ZslbenchError, match="hmdb51 has no table of names 'clip'"):
        measure_prompts(planned("nearest-text"), make_prompts(["clip"], ["none"]), Encoder(), all_classes=True)
