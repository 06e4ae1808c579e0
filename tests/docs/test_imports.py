"""The Python on the pages imports what exists."""

import ast
import importlib
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def imports(text):
    """Return (module, name) of each import from this project in a page's blocks of Python."""
    return [
        (node.module, alias.name)
        for _, block in BLOCK.findall(text)
        for node in ast.walk(ast.parse(textwrap.dedent(block)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("zslbench", "zslbench_methods")
        for alias in node.names
    ]


FOUND = [(path.relative_to(ROOT).as_posix(), *found) for path in PAGES for found in imports(path.read_text("utf-8"))]


def test_the_pages_show_python():
    assert {"README.md", "docs/plugins.md", "docs/models.md"} <= {page for page, _, _ in FOUND}


@pytest.mark.parametrize(("page", "module", "name"), FOUND)
def test_a_name_that_a_page_imports_exists(page, module, name):
    assert hasattr(importlib.import_module(module), name), f"{page}: {module} has no {name}"
