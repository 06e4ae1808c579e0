"""List the public names that two modules define: one name has one meaning.

Run ``python tools/public_names.py``. It reads the code of zslbench/, methods/ and datasets/ without importing it. The
exit code is 1 if a name is listed.

What counts:

* classes, functions, constants and type aliases at the top level of a module; imported names do not count;
* only public modules and names: those with an underscore in front belong to their room or module;
* no commands (functions with click's ``@...command()`` or ``@...group()``): they are named as the user types them, and
  each verb's module calls its own one ``command``, because the loader asks for that name.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("zslbench", "methods", "datasets")


def repeated_names(root: Path) -> dict[str, list[str]]:
    """Return each public name that several modules below ``root`` define, and these modules' files."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        place = path.relative_to(root)
        if any(part.startswith("_") and part != "__init__.py" for part in place.parts):
            continue
        for name in sorted(set(_names(ast.parse(path.read_text(encoding="utf-8")).body))):
            if not name.startswith("_"):
                found[name].append(str(place))
    return {name: places for name, places in sorted(found.items()) if len(places) > 1}


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef():
                yield node.name
            case ast.FunctionDef() if not any(map(_is_command, node.decorator_list)):
                yield node.name
            case ast.Assign():
                yield from (name.id for target in node.targets for name in ast.walk(target) if _is_set(name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.If() | ast.Try():
                yield from _names([*node.body, *node.orelse])


def _is_set(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _is_command(decorator: ast.expr) -> bool:
    match decorator:
        case ast.Call(func=ast.Attribute(attr="command" | "group")):
            return True
    return False


def main() -> int:
    """Print the repeated names."""
    names = repeated_names(Path(__file__).parent.parent)
    for name, places in names.items():
        print(f"{name}: {', '.join(places)}")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
