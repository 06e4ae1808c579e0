"""What the harness costs beside the methods, and what --help costs beside a bare interpreter."""

import os
import subprocess
import sys
import time

import pytest
from tiny import make_features

from zslbench.cells.store import Store


def seconds(*line, env=None):
    start = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True, env=env)
    return time.perf_counter() - start


def test_help_beside_a_bare_interpreter(benchmark):
    bare = min(seconds(sys.executable, "-c", "pass") for _ in range(5))
    benchmark.pedantic(seconds, args=(sys.executable, "-m", "zslbench", "--help"), rounds=5, warmup_rounds=1)
    extra = benchmark.stats.stats.min - bare
    benchmark.extra_info |= {"bare_interpreter": bare, "extra_seconds": extra, "wanted": "0.3 s extra at most"}


@pytest.mark.slow
def test_a_ridge_run_over_50_splits_beside_its_fits_and_scores(benchmark, tmp_path, data_root):
    """UCF101's size: 13,320 videos, 384 values; one split beforehand stands for the start-up."""
    make_features("ucf101", per_class=132, dim=384, noise=1.0)
    env = os.environ | {"ZSLBENCH_DATA_ROOT": str(data_root)}

    def run(splits, results):
        line = [sys.executable, "-m", "zslbench", "run", "--method", "ridge", "--dataset", "ucf101", "--family"]
        return seconds(*line, "random-50/50", "--splits", splits, "--results", str(tmp_path / results), env=env)

    def spent(results):
        records = [r.result for r in Store(tmp_path / results).records()]
        return sum(r.fit_seconds + r.score_seconds for r in records)

    start_up = run("1", "one") - spent("one")
    benchmark.pedantic(run, args=("50", "fifty"), rounds=1)
    wall, inside = benchmark.stats.stats.mean - start_up, spent("fifty")
    found = {"start_up": start_up, "fit_and_score": inside, "extra_share": wall / inside - 1}
    benchmark.extra_info |= found | {"wanted": "an extra share below 0.3"}
