"""docs/methods/checked.md says what each built-in method is compared with, and its tests are there."""

import re
from importlib.metadata import entry_points
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "methods" / "checked.md"
ROWS = PAGE.read_text(encoding="utf-8").partition("## Every method")[2]


def test_every_built_in_method_has_a_row_with_tests_that_exist():
    named = set()
    for line in ROWS.splitlines():
        if not line.startswith("| `"):
            continue
        methods, _, where = line.strip("|").split("|")
        named |= set(re.findall(r"`([^`]+)`", methods))
        tests = re.findall(r"`(test_\w+\.py)::(test_\w+)`", where)
        assert tests, line
        for file, test in tests:
            assert re.search(rf"^def {test}\(", (HERE / file).read_text(encoding="utf-8"), re.MULTILINE), (file, test)
    ours = {point.name for point in entry_points(group="zslbench.methods") if point.value.startswith("zslbench_")}
    assert named == ours
