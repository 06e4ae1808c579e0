"""The precision of torch backbones: the values are those of products in that type, and the recipe says so."""

import numpy as np
import pytest
import torch

from zslbench.errors import ZslbenchError
from zslbench.video.backbone import BackboneInfo
from zslbench.video.backbones._torch import TorchBackbone


class Linear(TorchBackbone):
    """One product with the mean colours of the frames."""

    info = BackboneInfo(name="linear", summary="A product.", dim=4, needs_weights=False, clip_len=8)

    def preprocess(self, clip):
        return (clip.mean(axis=(1, 2)) / np.float32(255)).astype(np.float32).ravel()

    def load(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return torch.nn.Linear(24, 4, bias=False)


@pytest.fixture
def clips():
    return list(np.random.default_rng(0).integers(0, 256, (3, 8, 5, 6, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_features_are_products_in_the_chosen_type_as_float32(clips, kind):
    backbone = Linear({"precision": kind}, device="cpu")
    x = torch.from_numpy(np.stack([backbone.preprocess(clip) for clip in clips]))
    dtype = getattr(torch, kind)
    expected = (x.to(dtype) @ backbone.load().weight.detach().to(dtype).T).float().numpy()
    found = backbone.extract(clips)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_the_types_give_different_values_and_are_in_the_description(clips):
    made = {kind: Linear({"precision": kind}, device="cpu") for kind in ("float32", "float16", "bfloat16")}
    found = {kind: each.extract(clips) for kind, each in made.items()}
    errors = {kind: np.abs(found[kind] - found["float32"]).max() for kind in ("float16", "bfloat16")}
    assert 0 < errors["float16"] < errors["bfloat16"] < 0.05
    for kind, each in made.items():
        assert f'"precision":"{kind}"' in each.describe()


def test_short_names_are_the_same_precision():
    assert Linear({"precision": "bf16"}).describe() == Linear({"precision": "bfloat16"}).describe()
    assert Linear({"precision": "fp16"}).params.precision == "float16"


def test_what_overflows_in_half_precision_names_the_remedy(clips):
    class Large(Linear):
        def preprocess(self, clip):
            return super().preprocess(clip) * np.float32(1e6)

    with pytest.raises(ZslbenchError, match=r"not finite; .*--precision float32"):
        Large({"precision": "float16"}, device="cpu").extract(clips)
    assert np.isfinite(Large(device="cpu").extract(clips)).all()
