"""What changes the digest of a method's source, and what does not."""

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.cells.source import _sources, code_text, source_digest

METHODS = sorted(Path(__file__).parents[2].glob("methods/*.py"))
SOURCE = '''\
"""Module."""

import numpy as np
from numpy import linalg as la


@property
def f(a: int = 1, *b, c=None, **d) -> "int":
    """Function."""
    x = {**d, "key": a - 1}  # a comment
    if a > 2:
        return f"{x!r:>{c}}"
    return la.norm(np.array([1.0, *b]))


class A:
    """Class."""

    size: int = 3
    """Attribute."""
'''


def code(text):
    return code_text(ast.parse(text))


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """Return a function: files of a package with ``method.py`` -> the digest of its method ``M``."""
    package = tmp_path / "someplugin"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def digest_of(**files):
        for name, text in files.items():
            (package / f"{name}.py").write_bytes(text if isinstance(text, bytes) else text.encode())
        import someplugin.method

        source_digest.cache_clear()
        return source_digest(someplugin.method.M)

    yield digest_of
    for name in ("someplugin.method", "someplugin"):
        sys.modules.pop(name, None)


METHOD = (
    "def fit():\n    from . import heavy\n    return heavy.FACTOR\n\n"
    "from zslbench.method import Method\nclass M(Method): pass\n"
)


def test_the_digest_covers_modules_imported_inside_functions(digest_of):
    first = digest_of(method=METHOD, heavy="FACTOR = 1\n", other="UNUSED = 1\n")
    assert digest_of(other="UNUSED = 2\n") == first
    assert digest_of(heavy="FACTOR = 2\n") != first


def test_the_digest_covers_the_harness_parts_that_a_method_is_built_on():
    from zslbench.registry import get_method

    names = set(_sources({cls.__module__ for cls in get_method("ridge").__mro__[:2]}))
    assert {"zslbench_methods.ridge", "zslbench.regression", "zslbench.kernels"} <= names
    assert "zslbench_methods._recurrent" in _sources({"zslbench_methods.action2vec"})
    assert "zslbench_methods._recurrent" not in names


def test_a_comment_leaves_the_digest_of_a_method_alone(digest_of):
    first = digest_of(method=METHOD, heavy="FACTOR = 1\n")
    assert digest_of(method=f'"""Mine."""\n\n{METHOD}# done\n', heavy="FACTOR = 1  # one\n") == first


def test_a_file_in_another_encoding_is_read_as_python_reads_it(digest_of):
    latin = "# -*- coding: latin-1 -*-\nFACTOR = 'é'\n"
    assert digest_of(method=METHOD, heavy=latin.encode("latin-1")) == digest_of(heavy="FACTOR = 'é'\n")


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("  # a comment", ""),
        "# a comment\n" + SOURCE.replace("\n\n", "\n\n\n"),
        SOURCE.replace('"""Module."""', "").replace('    """Function."""\n', ""),
        SOURCE.replace('    """Attribute."""\n', "").replace('"""Class."""', "pass"),
        SOURCE.replace('"""Function."""', '"""Another.\n\n    Text.\n    """'),
        SOURCE.replace('"key"', "u'key'").replace("= 1,", "=0x1,").replace("a - 1", "(\n a-1)"),
        SOURCE.replace("    ", "\t"),
        SOURCE.replace("\n", "\r\n"),
    ],
)
def test_comments_docstrings_and_formatting_say_nothing(other):
    assert other != SOURCE
    assert code(other) == code(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("= 1,", "= 2,"),
        ("= 1,", "= 1.0,"),
        ("= 1,", "= True,"),
        ("= 1,", "= '1',"),
        ("=None", "=0"),
        ("=None", ""),
        ("a: int", "a: float"),
        (' -> "int"', " -> int"),
        ("numpy import linalg", ".numpy import linalg"),
        ("numpy as np", "scipy as np"),
        ("import linalg as la", "import linalg as la, random"),
        ("@property\n", ""),
        ("@property", "@cache"),
        ("def f", "async def f"),
        ("def f", "def g"),
        ("a - 1", "a + 1"),
        ("a - 1", "1 - a"),
        ('"key"', '"Key"'),
        ('"key"', 'b"key"'),
        ("!r", "!s"),
        (">{c}", "<{c}"),
        ("a > 2", "a >= 2"),
        ("[1.0, *b]", "[*b, 1.0]"),
        ("class A", "class A(int)"),
        ("size: int = 3", "size = 3"),
        ("    if a > 2:\n        return", "    while a > 2:\n        return"),
    ],
)
def test_every_other_change_has_another_digest(old, new):
    assert SOURCE.count(old) == 1
    assert code(SOURCE.replace(old, new)) != code(SOURCE)


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.name)
def test_a_built_in_module_printed_anew_without_comments_has_the_same_code(path):
    tree = ast.parse(path.read_bytes())
    assert code(ast.unparse(tree)) == code_text(tree)


@given(st.data())
def test_whichever_constant_or_name_of_a_built_in_module_changes_the_code_changes(data):
    tree = ast.parse(data.draw(st.sampled_from(METHODS)).read_bytes())
    before = code_text(tree)
    strings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    kinds = (ast.Constant, ast.Name, ast.Attribute, ast.arg, ast.keyword, ast.alias, ast.FunctionDef, ast.ClassDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds) and id(node) not in strings]
    if not nodes:
        return
    node = data.draw(st.sampled_from(nodes))
    field = next(name for name in ("id", "attr", "arg", "name", "value") if name in node._fields and name != "ctx")
    setattr(node, field, "another_name" if isinstance(node, ast.Constant) else f"{getattr(node, field)}_")
    assert code_text(tree) != before


@pytest.mark.versions
def test_the_code_is_written_alike_under_every_version_of_python():
    """Its digest depends on nothing but the source; ``ast.dump`` of 3.11, 3.12 and 3.13 differ here."""
    assert code('def f(a, *, b=1): "Doc"; return [a, "é", f"{b:.2f}"]') == (
        "Module( body [ FunctionDef( name 'f' args arguments( args [ arg( arg 'a' ) ] kwonlyargs [ arg( arg 'b' ) ] "
        "kw_defaults [ int:1 ] ) body [ Return( value List( elts [ Name( id 'a' ctx Load( ) ) str:'\\xe9' JoinedStr( "
        "values [ FormattedValue( value Name( id 'b' ctx Load( ) ) conversion -1 format_spec JoinedStr( values [ "
        "str:'.2f' ] ) ) ] ) ] ctx Load( ) ) ) ] ) ] )"
    )


def test_a_field_that_a_later_python_adds_changes_nothing(monkeypatch):
    before = code(SOURCE)
    monkeypatch.setattr(ast.FunctionDef, "_fields", (*ast.FunctionDef._fields, "new_list", "new_flag"))
    monkeypatch.setattr(ast.FunctionDef, "new_list", [], raising=False)
    monkeypatch.setattr(ast.FunctionDef, "new_flag", None, raising=False)
    assert code(SOURCE) == before


def test_long_chains_are_no_obstacle():
    chain = "x = " + " + ".join(["y"] * 900)
    assert code(chain) != code(chain + " + y")
