"""Every built-in method is held against the conformance checks, as a stranger's plugin is."""

import pytest

from zslbench.registry import METHODS, get_method
from zslbench.testing import CheckState, check_method, parametrize_with_checks
from zslbench.testing._check import CHECKS

FIRST = ["scores", "determinism", "class-order", "constant-features", "declared-budget", "saving"]
# light-import is of the module: cli/test_startup.py holds all modules to it by "zslbench methods", in one process.
REST = [name for name in CHECKS if name not in (*FIRST, "light-import")]
BUILT_IN = [get_method(listed.name) for listed in METHODS if listed.distribution.startswith("zslbench ")]
VARIANTS = [
    *((method.info.name, f"preset {name}", values) for method in BUILT_IN for name, values in method.presets.items()),
    ("pooled-krr", "chi2", {"kernel": "chi2"}),
    ("pooled-krr", "primal", {"kernel": "cosine", "laplacian": "none"}),
    ("pooled-krr", "transductive", {"laplacian": "train+test"}),
    ("eszsl", "binary", {"targets": "binary"}),
    ("ridge", "one strength", {"alpha": 1.0, "unit_features": False}),
    ("sae", "encode", {"direction": "encode"}),
    ("sae", "decode", {"direction": "decode"}),
    ("mte", "weights", {"weights": "both"}),
    ("mte", "fixed", {"strength": 1e-2, "inverse": 1.0, "tasks": 3, "centre": False}),
    ("uda", "iap", {"weights": "iap"}),
    ("uda", "propagation", {"labels": "propagation"}),
    ("uda", "not sparse", {"lambda_3": 0.0}),
    ("conse", "fixed", {"top": 1, "strength": 1e-3}),
    ("dap", "probability", {"attributes": "probability"}),
    ("iap", "probability", {"attributes": "probability", "floor": 0.1}),
    ("kdica", "few landmarks", {"landmarks": 10, "alignment": 1.0, "invariance": 100.0, "components": 3}),
    ("sync", "fixed", {"strength": 1e-2, "scale": 1.0}),
    ("coco", "definition", {"label": "definition", "refit": False}),
    ("coco", "no cycle", {"cycle_weight": 0.0, "instance_weight": 0.0}),
    ("bike", "transformer", {"layers": 1}),
    ("sti", "add", {"spatial": "add"}),
    ("text4vis", "symmetric", {"loss": "symmetric"}),
    ("f-clswgan", "minmax", {"input_scale": "minmax", "output": "relu"}),
    ("f-vaegan", "minmax", {"input_scale": "minmax", "output": "sigmoid"}),
    ("devise", "no refit", {"refit": False, "input_scale": "standardise"}),
]


@pytest.mark.versions
@parametrize_with_checks(BUILT_IN, only=FIRST)
def test_a_built_in_method_conforms(check):
    check()


@parametrize_with_checks(BUILT_IN, only=REST)
def test_a_built_in_method_conforms_in_the_rest(check):
    check()


@pytest.mark.parametrize(
    "checks",
    [
        pytest.param(FIRST, id="first"),
        pytest.param(REST, id="rest", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(("name", "values"), [pytest.param(m, v, id=f"{m}-{what}") for m, what, v in VARIANTS])
def test_presets_and_other_parameters_conform_too(name, values, checks):
    method = get_method(name)
    small = {**values, **method.test_params}
    assert [v for v in check_method(method, small, only=checks) if v.state is CheckState.FAILED] == []
