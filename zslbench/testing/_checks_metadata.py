"""Checks of what is known about a method without running it."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from typing import Any

from pydantic import ValidationError

from zslbench.errors import problem, takes
from zslbench.method import Budget, MethodInfo, MethodParams
from zslbench.ranges import Choices, Range, declared
from zslbench.run.variants import accepts
from zslbench.steps import Stepped
from zslbench.testing._check import CHECKS, CheckFailed, CheckSkipped, Subject, check, require

HEAVY = ("torch", "sklearn", "pandas", "mlflow", "gensim")
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")

# In a fresh process: import one module and print which line first imported each heavy library.
_WATCH = """
import importlib, json, sys, traceback
heavy, module, found = json.loads(sys.argv[1]), sys.argv[2], {}
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in heavy and name not in found:
            stack = [f for f in traceback.extract_stack()[:-1] if "importlib" not in f.filename]
            found[name] = f"{stack[-1].filename}, line {stack[-1].lineno}"
sys.meta_path.insert(0, Watch())
try:
    importlib.import_module(module)
except ModuleNotFoundError as error:
    if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
        raise
    found = None
print("\\n" + json.dumps(found))
"""


@check
def check_info(subject: Subject) -> None:
    """Describe the method: name, a summary of one line, version, budget.

    Tables and pages show these. Look at ``info = MethodInfo(...)``, ``expected_failed_checks`` and the base classes.
    """
    info = getattr(subject.method, "info", None)
    require(isinstance(info, MethodInfo), "the class has no `info = MethodInfo(...)`.")
    assert isinstance(info, MethodInfo)  # noqa: S101  (for the type checker)
    parts = info.name.split("+") if issubclass(subject.method, Stepped) else [info.name]
    require(
        all(map(_NAME.fullmatch, parts)),
        f"info.name is {info.name!r}; use lower-case letters, digits and single '-', as in 'my-method'.",
    )
    require(info.summary.strip(), "info.summary is empty; say in one line what the method does.")
    require("\n" not in info.summary.strip(), "info.summary has several lines; write one, which fits into tables.")
    require(info.version.strip(), "info.version is empty; set it, so that results of older code can be distinguished.")
    unknown = sorted(set(subject.expected_failures) - set(CHECKS))
    require(not unknown, f"expected_failed_checks names {unknown}, which are no checks; see `zslbench check --list`.")
    unreasoned = sorted(name for name, reason in subject.expected_failures.items() if not reason.strip())
    require(not unreasoned, f"expected_failed_checks gives no reason for {unreasoned}; say why they fail.")
    budget = subject.new().budget
    require(
        isinstance(budget, frozenset) and all(isinstance(b, Budget) for b in budget),
        f"the budget is {budget!r}; it must be a frozenset of zslbench.method.Budget.",
    )


@check
def check_parameters(subject: Subject) -> None:
    """Accept the defaults, ``test_params`` and every preset, also after a trip through JSON; refuse unknown names.

    Results are stored with all parameters as JSON, and a mistyped ``--set`` must stop a run. Look at ``Params``, which
    must inherit from ``MethodParams``, and at ``presets``.
    """
    params = subject.method.Params
    require(
        isinstance(params, type) and issubclass(params, MethodParams),
        "Params does not inherit from zslbench.method.MethodParams.",
    )
    own = {"the defaults": {}, "test_params": subject.method.test_params}
    for what, values in {**own, **subject.method.presets}.items():
        try:
            made = params.model_validate(dict(values))
        except ValidationError as error:
            raise CheckFailed(f"{what}: Params refuses them at {problem(error, 'all')}.") from error
        stored = json.loads(json.dumps(made.model_dump(mode="json"), allow_nan=False))
        require(params.model_validate(stored) == made, f"{what}: they change in a round trip through JSON.")
    try:
        params.model_validate({"no_such_parameter_": 1})
    except ValidationError:
        return
    raise CheckFailed('Params accepts unknown names; do not override `extra="forbid"` of MethodParams.')


@check
def check_documented_parameters(subject: Subject) -> None:
    """Document every parameter.

    A parameter is documented if its name is in a docstring of ``Params``, of the method or of one of their base
    classes. A description of its field is enough, too.
    """
    bases = (*subject.method.Params.__mro__, *subject.method.__mro__)
    text = "\n".join(inspect.getdoc(base) or "" for base in bases)
    silent = [
        name
        for name, field in subject.method.Params.model_fields.items()
        if not field.description and not re.search(rf"\b{re.escape(name)}\b", text)
    ]
    require(not silent, f"no docstring explains {', '.join(silent)}; add them to the docstring of Params.")


@check
def check_ranges(subject: Subject) -> None:
    """Declare ranges and choices that ``Params`` accepts.

    ``zslbench tune`` searches them. Look at ``Range`` and ``Choices`` in the annotations of ``Params``. Both ends of a
    range and all choices must be valid, and a range is for numbers.
    """
    params: type[MethodParams] = subject.method.Params
    nested = [field.annotation for field in params.model_fields.values()]  # of steps
    models = [params, *(kind for kind in nested if isinstance(kind, type) and issubclass(kind, MethodParams))]
    for model in models:
        for name, values in declared(model).items():
            tried = values.values if isinstance(values, Choices) else (values.low, values.high)
            for value in tried:
                require(
                    accepts(model, name, value),
                    f"{name} declares {value!r}; it takes {takes(model.model_fields[name])}.",
                )
            if isinstance(values, Range):
                middle = (values.low * values.high) ** 0.5 if values.log else (values.low + values.high) / 2
                numbers = accepts(model, name, middle) or accepts(model, name, round(middle))
                require(numbers, f"{name} declares a range, but does not take {middle:g} inside it.")


@check
def check_light_import(subject: Subject) -> None:
    """Import the plugin's module without importing torch, scikit-learn, pandas, MLflow or gensim.

    Every ``zslbench`` command imports all plugins. Move ``import torch`` and similar lines into the functions that need
    them; for annotations, move them under ``if TYPE_CHECKING:``.
    """
    module = subject.method.__module__
    # In a new process: this one has imported most of these libraries already.
    command = [sys.executable, "-c", _WATCH, json.dumps(HEAVY), module]
    paths = os.pathsep.join(path or "." for path in sys.path)
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})  # noqa: S603
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise CheckFailed(f"a new process cannot import {module}: {last[0]}.")
    found: dict[str, Any] | None = json.loads(done.stdout.splitlines()[-1])
    if found is None:
        raise CheckSkipped(f"a new process does not find {module}: the method is not in an installed module")
    told = ", ".join(f"{name} ({where})" for name, where in found.items())
    require(not found, f"importing {module} imports {told}. Import it inside the functions that need it.")
