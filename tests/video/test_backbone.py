"""The base of all backbones: registry, parameters, checksums of weights, batches."""

import hashlib
import subprocess
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest

from zslbench import registry
from zslbench.datasets.label_sets import find_label_set, is_untrained
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.video import backbone as module
from zslbench.video.backbone import BACKBONES, Backbone, BackboneInfo, BackboneParams, check_sha256, get_backbone
from zslbench.video.recipe import make_recipe


class Mean(Backbone):
    """The mean colour of a clip; its weights are a file of one factor."""

    info = BackboneInfo(name="mean", summary="", trained_on=("kinetics400",), dim=3, clip_len=None, weights="a factor.")
    known_weights = {"mean-0123abcd.txt": "0123abcd"}  # noqa: RUF012

    class Params(BackboneParams):
        power: float = 1.0

    def preprocess(self, clip):
        return clip.mean(axis=(0, 1, 2)) ** self.params.power

    def forward(self, batch):
        self.batches = [*getattr(self, "batches", []), len(batch)]
        return np.stack(batch) * float(self.weights.read_text())


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "factor.txt").write_text("2")
    return tmp_path / "factor.txt"


def clips(n=5):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (2 + i % 3, 4 + i, 6, 3), dtype=np.uint8) for i in range(n)]


def test_clips_are_computed_in_batches_and_come_back_in_order(weights):
    backbone = Mean({"batch_size": 2}, weights=weights)
    got = backbone.extract(clips())
    assert backbone.batches == [2, 2, 1]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [2 * clip.mean(axis=(0, 1, 2)) for clip in clips()], rtol=1e-6)
    assert backbone.extract([]).shape == (0, 3)


def test_every_built_in_backbone_is_found_and_trained_on_label_sets_that_the_audit_knows():
    assert {"c3d", "clip", "motion", "onnx", "r2plus1d-18", "torch"} <= set(BACKBONES.names())
    for name in BACKBONES.names():
        info = get_backbone(name).info
        assert all(find_label_set(each) or is_untrained(each) for each in info.trained_on)
        assert info.trained_on or name in ("torch", "onnx", "transformers")


def test_an_unknown_backbone_suggests_a_name():
    with pytest.raises(NotFoundError, match="no backbone is called 'c3s'. Did you mean c3d"):
        get_backbone("c3s")


@pytest.mark.parametrize(
    ("value", "message"), [("json:dumps", "not a subclass"), ("toy_backbones:Mean", "calls itself 'mean' in its info")]
)
def test_a_plugin_that_is_no_backbone_is_refused(monkeypatch, value, message):
    monkeypatch.setitem(sys.modules, "toy_backbones", SimpleNamespace(Mean=Mean))
    point, installed = EntryPoint("other", value, "zslbench.backbones"), registry._entry_points
    monkeypatch.setattr(registry, "_entry_points", lambda group, path: {"other": [point], **installed(group, path)})
    with pytest.raises(ZslbenchError, match=message):
        get_backbone("other")
    assert [listed.name for listed in BACKBONES if listed.problem] == ["other"]


def test_wrong_parameters_are_explained(weights):
    with pytest.raises(ZslbenchError, match="mean has no parameter 'powr'. Did you mean power"):
        Mean({"powr": 2}, weights=weights)
    with pytest.raises(ZslbenchError, match="mean.power: Input should be a valid number"):
        Mean({"power": "high"}, weights=weights)


def test_the_digest_of_the_weights_is_recorded_and_can_be_demanded(weights):
    digest = hashlib.sha256(b"2").hexdigest()
    assert Mean(weights=weights).weights_digest == digest
    assert Mean(weights=weights, weights_sha256=digest.upper()).weights_digest == digest
    assert Mean(weights=weights, weights_sha256=digest[:8]).weights_digest == digest
    with pytest.raises(ZslbenchError, match=f"has the SHA-256 {digest}, not 01234567"):
        Mean(weights=weights, weights_sha256="01234567")
    with pytest.raises(ZslbenchError, match="'abc' is not a SHA-256"):
        check_sha256(weights, digest, "abc")


def test_a_file_of_a_known_name_must_have_the_known_digest_unless_another_is_demanded(weights):
    known = weights.rename(weights.with_name("mean-0123abcd.txt"))
    with pytest.raises(ZslbenchError, match="the SHA-256 of the published .* starts with 0123abcd"):
        Mean(weights=known)
    assert Mean(weights=known, weights_sha256=hashlib.sha256(b"2").hexdigest()).weights_digest


def test_missing_weights_are_explained(tmp_path):
    with pytest.raises(ZslbenchError, match="mean needs --weights: a factor"):
        Mean()
    with pytest.raises(ZslbenchError, match="there is no file .*nowhere"):
        Mean(weights=tmp_path / "nowhere")


def test_the_description_tells_what_features_depend_on_and_nothing_else(weights):
    first = Mean({"power": 2, "batch_size": 3, "trained_on": "a, b"}, weights=weights)
    assert first.describe() == Mean({"power": 2.0}, weights=weights).describe() == 'mean 1 {"power":2.0}'
    assert first.trained_on == ("a", "b")
    assert Mean(weights=weights).trained_on == ("kinetics400",)


def test_values_that_are_not_finite_are_an_error(weights):
    weights.write_text("nan")
    with pytest.raises(ZslbenchError, match="not finite"):
        Mean(weights=weights).extract(clips())


def test_what_is_no_clip_is_a_bug_of_the_caller(weights):
    with pytest.raises(ValueError, match="uint8"):
        Mean(weights=weights).extract([np.zeros((2, 4, 4, 3))])
    with pytest.raises(ValueError, match=r"\(T, H, W, 3\)"):
        Mean(weights=weights).extract([np.zeros((4, 4, 3), dtype=np.uint8)])


def test_a_missing_extra_is_named(monkeypatch):
    with pytest.raises(ZslbenchError, match=r"pip install 'zslbench\[video\]'"):
        module.require("no_such_module_here", "video")


def test_default_samplers_fit_the_backbones():
    motion = make_recipe("motion").open_sampler()
    assert (motion.clip_len, motion.clip_stride, motion.fps, motion.n_slots) == (16, 8, 30.0, 52)
    net = make_recipe("r2plus1d-18", settings={"backbone": {"random_weights": 0, "clip_len": 32}})
    assert net.open_sampler().clip_len == net.open_backbone().clip_len == 32


def test_listing_the_backbones_imports_no_heavy_library():
    code = (
        "import sys; from zslbench.video.backbone import BACKBONES, get_backbone\n"
        "for name in BACKBONES.names(): get_backbone(name).Params()\n"
        "print(*sorted({'torch', 'cv2', 'transformers', 'onnxruntime', 'av', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
