"""Read LaTeX tables back, as far as a test needs it."""

import re

_CELL = re.compile(r"(?<!\\)&")


def check_latex(text):
    """Assert that environments and braces are balanced and that each row has as many cells as the table has columns."""
    plain = re.sub(r"(?m)(?<!\\)%.*$", "", text)
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{([^}]*)\}", plain):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    assert re.findall(r"\\toprule", plain)
    braces = re.sub(r"\\[{}\\]", "", plain)
    assert braces.count("{") == braces.count("}")
    assert braces.count("$") == text.count(r"\$")
    for spec, body in tables(plain):
        n = len(re.findall(r"[lr]|p\{", re.sub(r">\{[^}]*\}|@\{\}|p\{[^}]*\}", lambda m: "p{" if m[0][0] == "p" else "",
                                                spec)))  # fmt: skip
        for line in rows(body):
            assert line.startswith(rf"\multicolumn{{{n}}}") or len(_CELL.findall(line)) == n - 1, line
    for special in "#_":
        assert not re.search(rf"(?<!\\){special}", re.sub(r"\\(label|begin|end|multicolumn)\{[^}]*\}", "", plain)), (
            special
        )


def tables(text):
    """Return the column specification and the body of each table."""
    kinds = "(?:tabular|longtable)"
    found = re.findall(rf"\\begin{{{kinds}}}{{(@{{}}[^\n]*@{{}})}}\n(.*?)\\end{{{kinds}}}", text, re.DOTALL)
    assert found
    return found


def rows(body):
    """Return the lines of a table that have cells, its header included."""
    lines = [line for line in body.splitlines() if line.endswith(r"\\") and line != r"\\"]
    return [line for line in lines if not line.startswith((r"\caption", r"\label"))]


def cells(line):
    """Return the cells of a row."""
    return [cell.strip() for cell in _CELL.split(line.removesuffix(r"\\"))]
