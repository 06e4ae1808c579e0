"""Class vectors of the features' own model are found, and those of another model refused where they are compared."""

import numpy as np
import pytest
from tiny import make_features

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import derive_features
from zslbench.registry import get_method
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.run.sources import class_vectors_for, refuse_other_weights
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.importing import import_classes


@pytest.fixture
def features():
    return make_features(weights_digest="a" * 64)


def class_vectors(tmp_path, name, weights, dim=16):
    dataset = get_dataset("hmdb51")
    table = (list(dataset.classes), np.random.default_rng(0).normal(size=(51, dim)))
    import_classes(name, tmp_path / "model", {"hmdb51": table}, weights=weights)


def plan_of(method, **more):
    settings = {"method": method, "dataset": "hmdb51", "features": "tiny", "splits": "1"}
    return make_plan(make_experiment(settings | more))


def test_class_vectors_of_the_features_weights_are_the_default_and_are_named(features, tmp_path):
    assert class_vectors_for(features) == ("minilm", "")
    class_vectors(tmp_path, "theirs", "b" * 64)
    assert class_vectors_for(features) == ("minilm", "")
    class_vectors(tmp_path, "own", "a" * 64)
    plan = plan_of("ridge")
    assert {cell.semantics for cell in plan.cells} == {"own"}
    assert "class vectors own, of the same model as hmdb51@tiny" in " ".join(plan.notices)
    assert {cell.semantics for cell in plan_of("ridge", semantics="minilm").cells} == {"minilm"}
    class_vectors(tmp_path, "again", "a" * 64)
    with pytest.raises(ZslbenchError, match="several class vectors are of the model of hmdb51@tiny.*: again, own"):
        plan_of("ridge")


def test_a_method_that_compares_features_with_class_vectors_needs_those_of_one_model(features, tmp_path):
    class_vectors(tmp_path, "theirs", "b" * 64)
    class_vectors(tmp_path, "anyones", "")
    with pytest.raises(ZslbenchError, match=f"nearest-text compares .* weights {'a' * 12} and theirs .* {'b' * 12}"):
        plan_of("nearest-text", semantics="theirs")
    assert plan_of("nearest-text", semantics="anyones").cells
    assert plan_of("ridge", semantics="theirs").cells


def test_a_method_that_compares_features_with_class_vectors_refuses_projected_features(features, tmp_path):
    class_vectors(tmp_path, "own", "a" * 64)
    derive_features(features.dataset, "tiny", "turned", k=16, fit="all")  # as many values, along other axes
    with pytest.raises(ZslbenchError, match="nearest-text compares .* projected by a PCA .* use --features tiny"):
        plan_of("nearest-text", features="turned")
    assert plan_of("ridge", features="turned").cells


def test_a_source_holds_class_vectors_of_one_model_only(features, tmp_path):
    class_vectors(tmp_path, "own", "a" * 64)
    table = (["archery"], np.zeros((1, 16)) + 1)
    with pytest.raises(ZslbenchError, match="choose another name"):
        import_classes("own", tmp_path / "model", {"kinetics400": table}, weights="b" * 64)


def test_class_vectors_of_a_model_that_lack_a_dataset_say_how_to_add_it(tmp_path):
    class_vectors(tmp_path, "own", "a" * 64)
    with pytest.raises(ZslbenchError, match="import own --dataset ucf101' and the same --model or --encoder"):
        open_semantics("own", get_dataset("ucf101"))


def test_shipped_class_vectors_are_of_their_own_encoder(tmp_path):
    make_features(dim=384, weights_digest="a" * 64)  # as many values as minilm
    with pytest.raises(ZslbenchError, match="nearest-text compares .* and minilm of weights 53aa51172d14"):
        plan_of("nearest-text", semantics="minilm")


def test_prompts_of_another_models_text_tower_are_refused(features):
    methods = [get_method(name)() for name in ("ridge", "nearest-text")]
    refuse_other_weights(methods, features, "clip", "a" * 64)
    with pytest.raises(ZslbenchError, match="nearest-text compares .* and clip of weights bbbbbbbbbbbb"):
        refuse_other_weights(methods, features, "clip", "b" * 64)
