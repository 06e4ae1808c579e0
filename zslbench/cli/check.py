"""``zslbench check``: check a method plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zslbench.cli._console import DEVICE, check_device, table
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.errors import ZslbenchError
from zslbench.tables.progress import progress
from zslbench.tables.widths import filled

if TYPE_CHECKING:
    from zslbench.testing import Verdict


@click.command(cls=Verb, examples=["zslbench check ridge", "zslbench check mine --only CHECK --set mine.neighbours=5"])
@click.argument("method", required=False, metavar="[METHOD[:PRESET]]")
@click.option("--set", "settings", multiple=True, metavar="METHOD.PARAMETER=VALUE", help="Set a parameter. Repeatable.")
@click.option("--only", multiple=True, metavar="CHECK", help="Only this check. Repeatable.")
@DEVICE
@click.option("--list", "listing", is_flag=True, help="List the checks and run none.")
def command(method: str | None, settings: tuple[str, ...], only: tuple[str, ...], listing: bool) -> int:
    """Check a method plugin: run the conformance checks on tiny made-up data.

    The exit code is 1 if a check failed. Parameters come from --set, else from the preset, else from the method's
    test_params. docs/conformance.md explains each check. Without --only, --set and a
    preset, the verdict is kept, and cells that run later record it.
    """
    if listing:
        from zslbench.testing import CHECKS

        table(
            ((c.name, c.meaning) for c in CHECKS.values()),
            ("check", "what it requires"),
            widths={"what it requires": 80},
        )
        return 0
    if method is None:
        raise ZslbenchError("name a method to check, as in 'zslbench check ridge'; 'zslbench methods' lists them.")
    check_device()
    verdicts = _run(method, settings, only)
    first: dict[str, str] = {}  # a crash in fit() fails most checks alike
    rows = []
    for v in verdicts:
        same = first.setdefault(v.reason, v.check) if v.state == "failed" else v.check
        rows.append((v.check, v.state, v.reason if same == v.check else f"as {same}"))
    table(rows, ("check", "result", "reason"), widths={"reason": 80})
    _explain([name for reason, name in first.items() if reason])
    counts = {state: sum(v.state == state for v in verdicts) for state in ("passed", "failed", "expected", "skipped")}
    say("\n" + ", ".join(f"{n} {state}" for state, n in counts.items() if n))
    if not only and not settings and ":" not in method:
        from zslbench.cells.checked import write_checked
        from zslbench.registry import get_method

        names = {state: tuple(v.check for v in verdicts if v.state == state) for state in ("failed", "expected")}
        write_checked(get_method(method), names["failed"], names["expected"])
    return 1 if counts["failed"] else 0


def _explain(failed: list[str]) -> None:
    """Print what each failed check means, and where to look."""
    from zslbench.testing import CHECKS

    for name in failed:
        say(f"\n{name}:")
        for paragraph in CHECKS[name].doc.split("\n\n"):
            echo(filled(" ".join(paragraph.split()), "  ", "  "))
    if failed:
        say("\ndocs/conformance.md has all checks; '--only CHECK' runs one.")


def _run(label: str, settings: tuple[str, ...], only: tuple[str, ...]) -> list[Verdict]:
    from zslbench.testing.runner import check_method, select

    method, values = _chosen(label, settings)
    checks, verdicts = len(select(only)), []
    with progress(f"checking {label}", "checks") as show:
        for verdict in check_method(method, values, only=only):
            verdicts.append(verdict)
            show(len(verdicts), checks)
    return verdicts


def _chosen(label: str, settings: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
    """Return the method and the parameters that are set on top of its ``test_params``."""
    from zslbench.registry import parse_label
    from zslbench.run.experiment import parse_settings, resolve_method

    parsed = parse_settings(settings)
    name, preset = parse_label(label)
    own, *steps = name.split("+")
    targets = dict.fromkeys((own, name, label))
    for target in parsed:
        if target not in (*targets, *steps):
            raise ZslbenchError(f"--set names {target!r}, but {label} is checked; write --set {own}.PARAMETER=VALUE.")
    method, _ = resolve_method(label, parsed)
    values = {key: value for target in targets for key, value in parsed.get(target, {}).items()}
    values |= {step.replace("-", "_"): parsed[step] for step in steps if step in parsed}
    return method, {**(method.presets[preset] if preset else {}), **method.test_params, **values}
