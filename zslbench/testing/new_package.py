"""Write an installable package with a method to start from, made from the files in ``template/``."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

from zslbench.errors import ZslbenchError
from zslbench.files import new_directory
from zslbench.registry import METHODS
from zslbench.version import __version__

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TEMPLATE, _SUFFIX = Path(__file__).with_name("template"), ".template"


def write_package(name: str, folder: Path) -> list[Path]:
    """Write the package of a method called ``name`` into ``folder`` and return its files, relative to it.

    Raises
    ------
    ZslbenchError
        The name is not valid for a method, is taken by a method or a module, or the folder exists.
    """
    module = _module(name)
    words = {
        "name": name,
        "distribution": f"zslbench-{name}",
        "module": module,
        "class_name": "".join(part.capitalize() for part in name.split("-")),
        "version": re.match(r"[0-9.]*[0-9]", __version__)[0],  # type: ignore[index]
    }
    renamed = {"module": module, "github": ".github", "gitignore": ".gitignore"}
    with new_directory(folder) as work:
        for source in _TEMPLATE.rglob(f"*{_SUFFIX}"):
            parts = source.relative_to(_TEMPLATE).with_suffix("").parts
            path = work.joinpath(*(renamed.get(part, part) for part in parts))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(source.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _module(name: str) -> str:
    """Return the module for a method's name, after checking that both are free."""
    module = name.replace("-", "_")
    if keyword.iskeyword(module):
        raise ZslbenchError(f"{name!r} is a keyword of Python and cannot name a module; choose another name.")
    if not _NAME.fullmatch(name):
        raise ZslbenchError(
            f"{name!r} cannot name a method; use lower-case letters, digits and single '-', as in 'my-method'."
        )
    if name in METHODS.names():
        raise ZslbenchError(f"a method called {name} is installed already; choose another name.")
    if importlib.util.find_spec(module) is not None:
        raise ZslbenchError(f"the Python module {module} exists already; choose another name.")
    return module
