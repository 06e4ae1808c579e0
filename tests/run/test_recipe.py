"""Results stay as they are, unless :data:`zslbench.cells.cell.RECIPE` says that they changed."""

import pytest
from tiny import make_features, plan

from zslbench.cells.cell import RECIPE
from zslbench.digests import digest
from zslbench.method import Report
from zslbench.run.evaluate import evaluate

# Of each recipe: digest of the predicted classes, and metrics. Noise of 1e-5 in the features changes neither, and
# processors differ by less.
PINNED = {
    2: {
        "zsl": (
            "51570db600577950274b741e333278e3",
            {"top1": 0.4933, "top1_per_class": 0.4933, "top5": 0.72, "top5_per_class": 0.72, "hubness": 1.1425,
             "chance": 0.04, "majority": 0.04},
        ),
        "gzsl": (
            "1048a8b495ecae67d94e04d6c7f6f6c0",
            {"top1": 0.2673, "top1_per_class": 0.5163, "S": 1.0, "U": 0.0133, "H": 0.0263, "AUSUC": 0.4656,
             "hubness": 0.9599, "chance": 0.0196, "majority": 0.0297, "S_calibrated": 0.7308, "U_calibrated": 0.4667,
             "H_calibrated": 0.5696, "factor": 0.2346},
        ),
    }
}  # fmt: skip


@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
def test_a_change_of_results_needs_a_new_recipe(protocol):
    """Where this fails, undo the change, or raise RECIPE and pin the new values."""
    make_features(per_class=6, noise=0.6, dim=32)
    (cell,) = plan(method="ridge", splits="1", protocol=protocol, set={"ridge": {"alpha": 1.0}})
    outcome = evaluate(cell, Report())
    rows = outcome.predictions.select(["video", "label", "predicted"]).to_pylist()
    predicted = sorted((row["video"], row["label"], row["predicted"][0]) for row in rows)
    pinned, metrics = PINNED[RECIPE][protocol]
    assert digest(predicted) == pinned
    assert outcome.result.metrics == pytest.approx(metrics, abs=1e-3)
