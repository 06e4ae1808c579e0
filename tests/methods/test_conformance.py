"""Every built-in method is held against the conformance checks, as a stranger's plugin is."""

import pytest

from zslbench.registry import METHODS
from zslbench.testing import State, check_method, parametrize_with_checks
from zslbench_methods.action2vec import Action2Vec, SingleLSTM, StackedLSTM
from zslbench_methods.bike import BIKE
from zslbench_methods.chance import Majority, Random
from zslbench_methods.coco import CoCo
from zslbench_methods.compatibility import ALE, SJE, LatEm
from zslbench_methods.conse import ConSE
from zslbench_methods.dap import DAP, IAP
from zslbench_methods.dem import DEM
from zslbench_methods.devise import DeViSE
from zslbench_methods.eszsl import ESZSL
from zslbench_methods.kdica import KDICA
from zslbench_methods.mte import MTE
from zslbench_methods.feature_gan import FCLSWGAN, FVAEGAN
from zslbench_methods.nearest_text import NearestText
from zslbench_methods.pooled_krr import PooledKRR
from zslbench_methods.ridge import ReverseRidge, Ridge
from zslbench_methods.sae import SAE
from zslbench_methods.sync import SYNC

BUILT_IN = [
    Action2Vec, StackedLSTM, SingleLSTM, DeViSE, ESZSL, PooledKRR, Ridge, ReverseRidge, SAE, ConSE, NearestText,
    SJE, ALE, LatEm, DEM, DAP, IAP, KDICA, SYNC, Random, Majority,
from zslbench_methods.tzs import TZS

BUILT_IN = [
    Action2Vec, StackedLSTM, SingleLSTM, DeViSE, ESZSL, PooledKRR, Ridge, ReverseRidge, SAE, ConSE, NearestText,
    SJE, ALE, LatEm, DEM, TZS, MTE, Random, Majority,
from zslbench_methods.nearest_text import ClipZeroShot, NearestText
from zslbench_methods.pooled_krr import PooledKRR
from zslbench_methods.ridge import ReverseRidge, Ridge
from zslbench_methods.sae import SAE
from zslbench_methods.sti import STI

BUILT_IN = [
    Action2Vec, StackedLSTM, SingleLSTM, DeViSE, ESZSL, PooledKRR, Ridge, ReverseRidge, SAE, ConSE, NearestText,
    SJE, ALE, LatEm, DEM, CoCo, BIKE, STI, ClipZeroShot, Random, Majority,
    SJE, ALE, LatEm, DEM, FCLSWGAN, FVAEGAN, Random, Majority,
from zslbench_methods.uda import UDA

BUILT_IN = [
    Action2Vec, StackedLSTM, SingleLSTM, DeViSE, ESZSL, PooledKRR, Ridge, ReverseRidge, SAE, ConSE, NearestText,
    SJE, ALE, LatEm, DEM, UDA, Random, Majority,
]  # fmt: skip
VARIANTS = [
    *((method, f"preset {name}", values) for method in BUILT_IN for name, values in method.presets.items()),
    (PooledKRR, "chi2", {"kernel": "chi2"}),
    (PooledKRR, "primal", {"kernel": "cosine", "laplacian": "none"}),
    (PooledKRR, "transductive", {"laplacian": "train+test"}),
    (ESZSL, "binary", {"targets": "binary"}),
    (Ridge, "one strength", {"alpha": 1.0, "unit_features": False}),
    (SAE, "decode", {"direction": "decode"}),
    (MTE, "weights", {"weights": "both"}),
    (MTE, "fixed", {"strength": 1e-2, "inverse": 1.0, "tasks": 3, "centre": False}),
    (UDA, "iap", {"weights": "iap"}),
    (UDA, "propagation", {"labels": "propagation"}),
    (UDA, "not sparse", {"lambda_3": 0.0}),
    (ConSE, "fixed", {"top": 1, "strength": 1e-3}),
    (DAP, "probability", {"attributes": "probability"}),
    (IAP, "probability", {"attributes": "probability", "floor": 0.1}),
    (KDICA, "few landmarks", {"landmarks": 10, "alignment": 1.0, "invariance": 100.0, "components": 3}),
    (SYNC, "fixed", {"strength": 1e-2, "scale": 1.0}),
    (CoCo, "definition", {"label": "definition", "refit": False}),
    (CoCo, "no cycle", {"cycle_weight": 0.0, "instance_weight": 0.0}),
    (BIKE, "transformer", {"layers": 1}),
    (STI, "add", {"spatial": "add"}),
    (FCLSWGAN, "minmax", {"input_scale": "minmax", "output": "relu"}),
    (FVAEGAN, "minmax", {"input_scale": "minmax", "output": "sigmoid"}),
    (DeViSE, "no refit", {"refit": False, "input_scale": "standardise"}),
]


def test_no_built_in_method_is_left_out():
    built_in = {listed.name for listed in METHODS if listed.distribution.startswith("zslbench ")}
    assert built_in == {method.info.name for method in BUILT_IN}


@parametrize_with_checks(BUILT_IN)
def test_a_built_in_method_conforms(check):
    check()


@pytest.mark.parametrize(
    ("method", "values"), [pytest.param(m, v, id=f"{m.info.name}-{what}") for m, what, v in VARIANTS]
)
def test_presets_and_other_parameters_conform_too(method, values):
    small = {**values, **method.test_params}
    assert [v for v in check_method(method, small) if v.state is State.FAILED] == []
