"""No fault loses a cell, doubles one, changes a figure in silence or ends in a traceback (see docs/reliability.md)."""

import os
import sys

import pytest
from faults import processes
from faults.inject import KINDS, inject
from faults.world import World, make_world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the injector forks, and reads /proc")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    before = os.environ.copy()
    make_world(folder / "pristine")
    yield World(folder / "pristine", folder / "place")
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_doubled_changed_or_said_in_a_traceback(world, kind):
    for number in range(1 if kind in processes.KINDS else 3):
        verdict = inject(world, kind, f"0 {number}")
        assert verdict.wrong == {}, (number, verdict.what)
