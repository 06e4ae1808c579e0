"""Each check against a method that is broken in the way the check looks for."""

import contextlib
import os
import random
import signal
import sys
import types
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from broken_methods import BROKEN, IN_PROCESS, AsksForMore, CentresTestVideos, Centroids, Good, NeedsUnseenNames
from plugins import install
from sklearn.utils import check_random_state

from zslbench.compute import torch_seed
from zslbench.method import Budget, MethodInfo
from zslbench.testing import CHECKS, CheckState, check_method
from zslbench.testing._checks_process import _globals
from zslbench.testing._harness import harness_parts, replaced

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered")


@pytest.fixture(autouse=True)
def encoder_of_texts():
    """Nothing of the harness is replaced here: a check sees it."""


@pytest.fixture(autouse=True)
def harness_kept():
    before = harness_parts()
    yield
    replaced(before)


def changes_globals(change):
    class ChangesGlobals(Good):
        def fit(self, seen, classes, target, report):
            super().fit(seen, classes, target, report)
            change()

    return ChangesGlobals


def seed_torch():
    import torch

    torch.manual_seed(0)


def set_threads():
    import torch

    torch.set_num_threads(torch.get_num_threads() + 1)


CHANGES = {
    "numpy's global random state": lambda: np.random.seed(0),  # noqa: NPY002
    "Python's random state": lambda: random.seed(0),
    "torch's global random state": seed_torch,
    "torch's number of threads": set_threads,
    "environment variables": lambda: os.environ.update(OMP_NUM_THREADS="77"),
    "the warning filters": lambda: warnings.simplefilter("error", UserWarning),
    "numpy's error handling": lambda: np.seterr(under="raise"),
    "the working directory": lambda: os.chdir("/"),
    "environment variables: HOME": lambda: os.environ.update(HOME="/nowhere"),
    "environment variables: ZSLBENCH_DATA_ROOT": lambda: os.environ.update(ZSLBENCH_DATA_ROOT="/nowhere"),
    "the umask": lambda: os.umask(0o027),
    "signal handlers": lambda: signal.signal(signal.SIGUSR1, lambda *_: None),
    "Python's search path": lambda: sys.path.insert(0, "/nowhere"),
    "Python's recursion limit": lambda: sys.setrecursionlimit(4321),
    "Python's hooks": lambda: setattr(sys, "excepthook", lambda *_: None),
}


def verdicts(method, only=IN_PROCESS):
    return {verdict.check: verdict for verdict in check_method(method, only=only)}


def failed(found):
    return {name for name, verdict in found.items() if verdict.state is CheckState.FAILED}


def skipped(found):
    return {name for name, verdict in found.items() if verdict.state is CheckState.SKIPPED}


@pytest.mark.slow
def test_a_good_method_passes_everything():
    found = verdicts(Good)
    assert failed(found) == set(), found
    assert skipped(found) == {"untrained", "trained-classes", "validation-classes"}


def test_a_good_method_of_trained_classes_is_tested_on_these_and_passes():
    found = verdicts(Centroids)
    assert failed(found) == set(), found
    assert skipped(found) == {"untrained", "embed", "validation-classes"}


def test_a_method_that_learns_nothing_is_fitted_on_nothing():
    class Fixed(Good):
        trains = False

        def fit(self, seen, classes, target, report):
            self.weights = np.eye(seen.dim, classes.vectors.shape[1])

    found = verdicts(Fixed, ["untrained", "scores", "saving"])
    assert {verdict.state for verdict in found.values()} == {CheckState.PASSED}, found


@pytest.mark.parametrize(("name", "method", "also"), [pytest.param(*b, id=f"{b[0]}-{b[1].__name__}") for b in BROKEN])
def test_a_broken_method_is_caught_by_its_check_and_by_few_others(name, method, also):
    found = verdicts(method)
    assert name in failed(found)
    assert failed(found) <= {name, *also}
    assert len(found[name].reason) > 20


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_global_is_named_and_put_back(what, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = os.environ.get("OMP_NUM_THREADS"), Path.cwd(), np.geterr(), list(warnings.filters)
    found = verdicts(changes_globals(CHANGES[what]), ["global-state"])
    assert what.partition(":")[0] in found["global-state"].reason
    assert before == (os.environ.get("OMP_NUM_THREADS"), Path.cwd(), np.geterr(), list(warnings.filters))


@pytest.fixture
def globals_kept(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    watched = _globals()
    found = {what: read() for what, (read, _, _) in watched.items()}
    yield
    for what, (_, write, _) in watched.items():
        write(found[what])


@pytest.mark.parametrize("what", CHANGES)
def test_a_global_that_earlier_fits_changed_already_is_noticed_all_the_same(what, globals_kept):
    found = verdicts(changes_globals(CHANGES[what]), ["scores", "class-order", "global-state"])
    assert what.partition(":")[0] in found["global-state"].reason


def linear_layers(seeding):
    """Return a method of ordinary torch layers, trained with dropout inside a block."""

    class Layers(Good):
        def fit(self, seen, classes, target, report):
            import torch
            from torch import nn

            x, y = torch.from_numpy(self.features(seen)), torch.from_numpy(classes.vectors[seen.labels])
            with seeding(self):
                net = nn.Sequential(nn.Dropout(0.1), nn.Linear(x.shape[1], y.shape[1]))
                optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
                for _ in range(3):
                    optimizer.zero_grad()
                    nn.functional.mse_loss(net(x), y).backward()
                    optimizer.step()
            self.weights = net[1].weight.detach().numpy().T

    return Layers


@contextlib.contextmanager
def forked(method, **how):
    import torch

    with torch.random.fork_rng(**how):
        torch.manual_seed(method.seed)
        yield


@contextlib.contextmanager
def leaking(method):
    import torch

    torch.manual_seed(method.seed)
    yield


@pytest.mark.parametrize(
    "seeding", [forked, partial(forked, devices=[]), lambda method: torch_seed(method.seed)],
    ids=["fork_rng", "fork_rng without devices", "torch_seed"],
)  # fmt: skip
def test_ordinary_torch_layers_pass_if_the_global_generator_is_put_back(seeding):
    found = verdicts(linear_layers(seeding))
    assert failed(found) == set(), found


def test_ordinary_torch_layers_fail_if_the_seed_leaks():
    found = verdicts(linear_layers(leaking))
    assert failed(found) == {"global-state"}
    assert "torch's global random state" in found["global-state"].reason


def test_a_seed_that_scikit_learn_refuses_in_a_run_is_refused_by_the_check_too():
    class TooLarge(Good):
        def fit(self, seen, classes, target, report):
            super().fit(seen, classes, target, report)
            check_random_state(self.seed % 2**32 if self.params.strength > 1 else self.seed)

    (verdict,) = check_method(TooLarge, only=["determinism"])
    assert "cannot be used to seed" in verdict.reason or "must be between 0 and 2**32" in verdict.reason
    assert next(check_method(TooLarge, {"strength": 2.0}, only=["determinism"])).state is CheckState.PASSED


def test_every_check_has_a_broken_method():
    assert {name for name, *_ in BROKEN} | {"light-import", "global-state"} == set(CHECKS)


def module_of(folder, monkeypatch, name, head):
    source = f"{head}\nfrom zslbench.method import Method, MethodInfo\n\nclass Mine(Method):\n" + (
        "    info = MethodInfo(name='mine', summary='x')\n    def fit(self, *a): pass\n    def score(self, *a): pass\n"
    )
    monkeypatch.syspath_prepend(install(folder / name, name, source, {}))
    return __import__(name).Mine


def test_a_heavy_import_is_told_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", types.ModuleType("gensim"))  # empty ones, here and there
    (tmp_path / "heavy_plugin").mkdir()
    (tmp_path / "heavy_plugin" / "gensim.py").write_text("")
    heavy = module_of(tmp_path, monkeypatch, "heavy_plugin", "import json\nimport gensim")
    (verdict,) = check_method(heavy, only=["light-import"])
    assert verdict.state is CheckState.FAILED
    assert "gensim (" in verdict.reason
    assert "heavy_plugin.py, line 2" in verdict.reason
    light = module_of(tmp_path, monkeypatch, "light_plugin", "import json")
    assert [v.state for v in check_method(light, only=["light-import"])] == [CheckState.PASSED]


def test_a_method_of_no_module_is_not_blamed_for_imports():
    nowhere = type("Nowhere", (Good,), {"__module__": "a_notebook_cell"})
    (verdict,) = check_method(nowhere, only=["light-import"])
    assert verdict.state is CheckState.SKIPPED


def test_missing_declarations_are_told_with_the_remedy():
    reason = verdicts(NeedsUnseenNames, ["declared-budget"])["declared-budget"].reason
    assert "target is None" in reason
    reason = verdicts(AsksForMore, ["declared-budget"])["declared-budget"].reason
    assert "target.videos" in reason
    assert "unseen-videos" in reason


def test_a_method_that_declares_unseen_videos_may_look_at_company():
    class Transductive(CentresTestVideos):
        info = MethodInfo(name="good", summary="Centres.", budget=frozenset({Budget.UNSEEN_VIDEOS}))

    found = verdicts(Transductive)
    assert failed(found) == set()
    assert "unseen-videos" in found["batch-size"].reason


def test_texts_and_attributes_come_with_their_budgets_only():
    class ReadsTexts(Good):
        def fit(self, seen, classes, target, report):
            super().fit(seen, classes, target, report)
            self.words = [len(texts) for texts in classes.texts] + [len(row) for row in classes.attributes]

    class Declares(ReadsTexts):
        info = MethodInfo(name="good", summary="Reads.", budget=frozenset({Budget.CLASS_TEXTS, Budget.ATTRIBUTES}))

    assert verdicts(Declares, ["declared-budget", "scores"])["declared-budget"].state is CheckState.PASSED
    undeclared = verdicts(ReadsTexts, ["declared-budget"])["declared-budget"]
    assert undeclared.state is CheckState.FAILED
    assert "Declare what fit() uses" in undeclared.reason


def test_a_method_that_replaces_the_harness_when_it_is_imported_is_caught(monkeypatch):
    from zslbench.stats import metrics

    def mine(*arguments):
        return arguments

    mine.__module__ = "broken_methods.inner"
    monkeypatch.setattr(metrics, "top_k", mine)
    reason = verdicts(type("Patch", (Good,), {"__module__": "broken_methods"}), ["harness-unchanged"])
    assert "zslbench.stats.metrics.top_k when it was imported" in reason["harness-unchanged"].reason


def test_what_a_check_found_is_put_back_and_ended():
    from broken_methods import LeavesAnOrphan, PatchesNumpy

    bincount, children = np.bincount, set(psutil.Process().children(recursive=True))
    verdicts(PatchesNumpy, ["harness-unchanged"])
    verdicts(LeavesAnOrphan, ["nothing-left-running"])
    assert np.bincount is bincount
    assert set(psutil.Process().children(recursive=True)) <= children  # ended ones of other tests may vanish meanwhile
