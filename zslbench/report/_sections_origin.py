"""Fill the sections of a report about the origin of its figures. Each function returns why it is empty, or nothing."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from zslbench.audit.findings import Severity
from zslbench.cells.cell import State
from zslbench.cells.rows import table_of
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError, some
from zslbench.features.catalog import open_features
from zslbench.report._content import Content
from zslbench.report._origins import Origins, read_origins
from zslbench.report.page import Page
from zslbench.run.models import load_model
from zslbench.tables.writer import Shown

_MOST_MODELS = 3
_MOST_COMMANDS = 200
_MOST_EVIDENCE = 4
_MOST_FAILURES = 100
_MARKS: dict[Severity, Literal["", "bad", "quiet"]] = {Severity.LEAK: "bad", Severity.NOTE: "quiet"}


def audit(page: Page, content: Content) -> str:
    """Add the findings of the audit, the worst first."""
    if not content.findings:
        return "The audit has no findings."
    rows = []
    for finding in content.findings:
        lines = list(finding.evidence[:_MOST_EVIDENCE])
        if len(finding.evidence) > _MOST_EVIDENCE:
            lines.append(f"and {len(finding.evidence) - _MOST_EVIDENCE} more: 'zslbench audit'")
        severity = Shown(finding.severity.value, mark=_MARKS.get(finding.severity, ""))
        told, concerned = "; ".join(lines), some(finding.rows, _MOST_EVIDENCE)
        rows.append([finding.title, finding.code, severity, finding.concerns, told, concerned, finding.remedy])
    page.table(["finding", "code", "severity", "concerns", "evidence", "rows", "remedy"], rows)
    return ""


def embeddings(page: Page, content: Content) -> str:
    """Add a t-SNE of each saved model whose features are available."""
    from zslbench.embeddings.class_embeddings import from_method
    from zslbench.report.scatter import describe_map, map_classes, scatter_figure

    folders = sorted(path for path in content.store.models.glob("*") if content.store.has_model(path.name))
    tables = set(content.board.tables)
    drawn, reasons = 0, []
    for folder in folders:
        try:
            model = load_model(folder)
            if table_of(model.card.cell) not in tables:
                continue
            if drawn == _MOST_MODELS:
                reasons.append(f"Drawn: {drawn} of {len(folders)} saved models; 'zslbench embeddings' draws any.")
                break
            cell = model.card.cell
            classes = from_method(model, open_features(get_dataset(cell.dataset), cell.features))
            found = map_classes(classes)
        except ZslbenchError as error:
            reasons.append(f"{folder.name} is left out: {error}")
            continue
        page.figure(scatter_figure(found), describe_map(found), model.card.title)
        drawn += 1
    for reason in reasons:
        page.text(reason)
    return "" if drawn or reasons else "No saved model of these cells; 'zslbench run --save-model' saves them."


def failures(page: Page, content: Content) -> str:
    """Add the reasons why cells have no figures."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in content.board:
        for record in content.records(row):
            if record.result.state is not State.DONE:
                failure = record.result.failure
                why = f"{failure.type}: {failure.message}" if failure else ""
                found[row.table.title, row.name, record.result.state.value, why[:300]] += 1
    if not found:
        return "None: every cell has figures."
    rows = [[name, table, state, n, why] for (table, name, state, why), n in found.most_common(_MOST_FAILURES)]
    left_out = f"The {_MOST_FAILURES} most frequent of {len(found):,} kinds." if len(found) > len(rows) else ""
    page.table(["row", "table", "state", "cells", "why"], rows, left_out)
    return ""


def environment(page: Page, content: Content) -> str:
    """Add versions, machines and commits."""
    origins = _origins(content)
    if not origins.versions:
        return "These cells have no recorded environment."
    if origins.unknown:
        page.text(f"{origins.unknown:,} cells have no recorded environment.")
    page.table(["commit", "state", "cells"], [[*key, n] for key, n in origins.commits.most_common()],
               "Git commits of zslbench itself.")  # fmt: skip
    machines = [[*key, n] for key, n in origins.machines.most_common()]
    page.table(["processor", "cores", "device", "platform", "cells"], machines, "Machines.")
    # Shown, so that the version is not sorted as a number.
    versions = [[name, Shown(version), n] for (name, version), n in sorted(origins.versions.items())]
    fold = f"{len(versions)} versions of packages"
    page.table(["package", "version", "cells"], versions, "Versions.", fold=fold)
    return ""


def commands(page: Page, content: Content) -> str:
    """Add each command with a number, and the numbers of each row's commands."""
    origins = _origins(content)
    known = {line: rows for line, rows in origins.commands.items() if line}
    if not known:
        return "These cells have no recorded commands."
    order = sorted(known, key=lambda line: (-sum(known[line].values()), line))
    numbers = {line: f"C{i}" for i, line in enumerate(order, start=1)}
    rows = []
    for row in content.board:
        of = [numbers[line] for line in order if (row.table.title, row.name) in known[line]]
        rows.append([row.name, row.table.title, len(content.records(row)), ", ".join(of) or "-"])
    page.code("\n".join(f"{numbers[line]:>4}  {line}" for line in order[:_MOST_COMMANDS]))
    if len(order) > _MOST_COMMANDS:
        page.text(f"The {_MOST_COMMANDS} commands with the most cells, of {len(order):,}.")
    page.text("Options in environment variables (ZSLBENCH_...) are not recorded.")
    page.table(["row", "table", "cells", "commands"], rows, "Commands of each row.")
    return ""


def _origins(content: Content) -> Origins:
    rows = {(row.table.title, row.name): content.records(row) for row in content.board}
    return read_origins(content.store, rows)
