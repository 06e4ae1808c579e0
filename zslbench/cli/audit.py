"""``zslbench audit``: find leaks in stored results, or in a feature set before anything is measured."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # many small products, as in zslbench leaderboard

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from zslbench.audit.findings import Finding, Severity
from zslbench.cli._console import READ_RESULTS, shown_path
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli._written import Target, table_options
from zslbench.cli.leaderboard import filter_options, read_records
from zslbench.errors import ZslbenchError, some
from zslbench.tables.document import Document, Section
from zslbench.tables.widths import filled
from zslbench.tables.writer import columns, escape, listed

_COLOURS = {Severity.LEAK: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_SHOWN = 16  # lines of evidence, and rows, that the console shows per finding
_IN_A_CELL = 4  # lines of evidence in a cell of a table
_TRUSTED = "Taken on trust, because only the person who imported it knows:"


@click.command(
    cls=Verb,
    examples=[
        "zslbench audit --dataset ucf101",
        "zslbench audit --features-only ucf101@c3d",
        "zslbench audit --strict --severity leak",
    ],
)
@READ_RESULTS
@filter_options("dataset", "features", "method", "family")
@click.option("--features-only", metavar="DATASET@NAME", help="Audit a feature set instead of results.")
@click.option(
    "--severity", type=click.Choice([s.value for s in Severity]), default=Severity.NOTE.value,
    help="The lowest severity to show.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a leak.")
@table_options()
def command(
    results: Path, features_only: str | None, severity: str, strict: bool,
    target: Target, **filters: tuple[str, ...],
) -> int:  # fmt: skip
    """Find leaks (test data that a method or its features may have seen) and unfair comparisons.

    docs/audit.md explains each code, and the rules for overlap.
    """
    found, trusted, subject = _findings(results, features_only, filters)
    least = list(Severity).index(Severity(severity))
    shown = [finding for finding in found if list(Severity).index(finding.severity) <= least]
    if target.fmt == "console":
        heads = {_head(finding): _COLOURS[finding.severity] for finding in shown}
        echo(_console(shown, trusted, subject), colours=heads)
    else:
        target.write(_document(shown, trusted, subject))
    return 1 if strict and any(finding.severity is Severity.LEAK for finding in found) else 0


def _findings(
    results: Path, features_only: str | None, filters: dict[str, tuple[str, ...]]
) -> tuple[list[Finding], list[str], str]:
    from zslbench.audit.audit import audit_features, audit_records
    from zslbench.audit.trust import trusted_features, trusted_records

    if features_only is None:
        records = read_records(results, filters)
        from zslbench.cells.store import Store

        subject = f"{len(records)} cells in {shown_path(results)}"
        return audit_records(records, Store(results)), trusted_records(records), subject
    from zslbench.datasets.catalog import get_dataset
    from zslbench.features.catalog import open_features

    if clash := [name for name in ("dataset", "features", "method") if filters[name]]:
        raise ZslbenchError(f"--{clash[0]} chooses results, and --features-only looks at none; leave one of them out.")
    dataset, at, name = features_only.partition("@")
    if not at:
        raise ZslbenchError(
            f"--features-only {features_only!r} is not DATASET@NAME; 'zslbench features list' has them."
        )
    features = open_features(get_dataset(dataset), name)
    found = audit_features(features, filters["family"])
    return found, trusted_features(features, filters["family"]), f"the feature set {features.title}"


def _summary(found: Sequence[Finding], subject: str) -> str:
    counts = Counter(finding.severity for finding in found)
    said = ", ".join(f"{counts[s]} {s}{'' if counts[s] == 1 else 's'}" for s in Severity if counts[s])
    return f"Audit of {subject}: {said or 'nothing found'}."


def _console(found: Sequence[Finding], trusted: Sequence[str], subject: str) -> str:
    lines = [_TRUSTED] if trusted else []
    lines += [_wrapped(line, "  ", "    ") for line in trusted[:_SHOWN]]
    if (more := len(trusted) - _SHOWN) > 0:
        lines.append(f"  ... and {more} more (--format json has all)")
    lines += [""] if trusted else []
    for finding in found:
        head = _head(finding)
        titled = _wrapped(f"{head}  {finding.title}", "", "    ")
        lines += [titled, _wrapped(finding.concerns, "  ", "  ")]
        lines += [_wrapped(line, "    ", "      ") for line in finding.evidence[:_SHOWN]]
        if (more := len(finding.evidence) - _SHOWN) > 0:
            lines.append(f"    ... and {more} more (--format json has all)")
        if finding.rows:
            lines.append(_wrapped(f"rows: {some(finding.rows, _SHOWN)}", "  ", "        "))
        lines += [_wrapped(f"do: {finding.remedy}", "  ", "      "), ""]
    return "\n".join([*lines, _wrapped(_summary(found, subject), "", "  ")])


def _head(finding: Finding) -> str:
    return f"{finding.severity.upper()} {finding.code}"


def _wrapped(text: str, first: str, others: str) -> str:
    return filled(text, first, others)


def _markdown(found: Sequence[Finding], trusted: Sequence[str], subject: str) -> str:
    lines = [_TRUSTED, "", *listed("markdown", trusted), ""] if trusted else []
    lines += [_summary(found, subject), ""]
    for finding in found:
        lines += [
            f"### {finding.code} ({finding.severity}): {finding.title}",
            "",
            escape("markdown", finding.concerns),
            "",
        ]
        lines += listed("markdown", finding.evidence)
        if finding.rows:
            lines += ["", escape("markdown", f"Rows: {', '.join(finding.rows)}")]
        lines += ["", f"**To do:** {finding.remedy}", ""]
    return "\n".join(lines).rstrip()


_HEADERS = ("code", "severity", "finding", "concerns", "evidence", "to do")


def _document(found: Sequence[Finding], trusted: Sequence[str], subject: str) -> Document:
    facts = [asdict(finding) | {"severity": finding.severity, "title": finding.title} for finding in found]
    cells = [
        (each.code, each.severity, each.title, each.concerns, some(each.evidence, _IN_A_CELL), each.remedy)
        for each in found
    ]
    return Document(
        "zslbench audit",
        [Section(columns(_HEADERS), cells, _summary(found, subject), key="audit")],
        notes=[_TRUSTED, *trusted] if trusted else [],
        facts=facts,
        record={"subject": subject, "taken_on_trust": trusted, "findings": facts},
        own={"markdown": _markdown(found, trusted, subject)},
    )
