"""A paper's appendix in LaTeX: what was measured, on what, how, and what a reader should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from zslbench.audit.findings import Finding, Severity
from zslbench.cells.rows import Row, Table
from zslbench.cells.store import Record
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import overlap_unknown
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import Manifest
from zslbench.leaderboard.paper import board_document
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.report._content import Content
from zslbench.report._origins import Origins, read_origins
from zslbench.tables.latex import NEEDS, LatexOptions, latex_text
from zslbench.tables.writer import escape
from zslbench.version import __version__

_DIGEST = 12  # characters of a digest
_PACKAGES = ("zslbench", "python", "numpy", "scipy", "torch", "scikit-learn")
_MOST_COMMANDS = 12
_MOST_FINDINGS = 12
_PREAMBLE = r"""%% A page for a paper's appendix, by zslbench %s: \input it, in a document with one column or with two.
%s"""


def appendix_text(content: Content, *, command: str = "", latex: LatexOptions | None = None) -> str:
    """Return the appendix of a report's content, a section of a document.

    Parameters
    ----------
    command
        The command that makes it.
    latex
        The label of the tables, their caption, and whether they have intervals.
    """
    board = content.board
    document = board_document(board, "latex", intervals=(latex or LatexOptions()).intervals)
    # The paragraph on statistics has the notes, once for all tables, and that on caveats the leaks.
    tables = [replace(section, notes=section.notes[:1]) for section in document.sections]
    notes = dict.fromkeys(
        note for section in document.sections for note in section.notes[1:] if not note.startswith("[L")
    )
    lines = [_PREAMBLE % (__version__, NEEDS), r"\section*{Evaluation}"]
    lines += [latex_text(tables, latex, needs=False), "", r"\begingroup\footnotesize\sloppy"]
    for table, rows in board.tables.items():
        lines += [_paragraph(title, text) for title, text in _inputs(content, table, rows)]
    lines += [_paragraph("Statistics", escape("latex", " ".join(notes)))]
    lines += [_paragraph("Caveats", escape("latex", _caveats(content.findings)))]
    origins = read_origins(content.store, {(row.table.title, row.name): content.records(row) for row in board})
    lines += [_paragraph("Versions", escape("latex", _versions(origins)))]
    lines += [_commands(origins, command), r"\endgroup"]
    return "\n".join(lines)


def _paragraph(title: str, text: str) -> str:
    return rf"\noindent\textbf{{{escape('latex', title)}.}} {text}\par\vspace{{2pt}}" if text else ""


def _code(text: str) -> str:
    """Return a text as it is typed: its quotes stay straight."""
    straight = escape("latex", text).replace("'", r"\textquotesingle{}")
    return rf"\texttt{{{straight}}}"


def _inputs(content: Content, table: Table, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    records = [record for row in rows for record in content.records(row)]
    cell = records[0].cell
    several = len(content.board.tables) > 1
    rules = PROTOCOLS[table.protocol]
    yield f"Protocol{f' ({table.title})' if several else ''}", escape("latex", f"{table.protocol}. {rules.summary}")
    done = max(row.n_splits for row in rows)
    splits = f"{done} distinct of {rows[0].n_all} splits of the family {table.family} of {table.dataset}"
    yield "Splits", f"{escape('latex', splits + _source(table))} (digest {_short(cell.family_digest)})."
    yield "Class vectors", f"{escape('latex', table.semantics)} (digest {_short(cell.semantics_digest)})."
    yield "Features", _features(records)


def _short(digest: str) -> str:
    return _code(digest[:_DIGEST])


def _source(table: Table) -> str:
    try:
        source = find_family(get_dataset(table.dataset), table.family).source
    except ZslbenchError:  # of a plugin that is not installed here, or removed
        return ""
    return f", {source}" if source else ""


def _features(records: Sequence[Record]) -> str:
    """Return the provenance of the features, as far as this machine knows it."""
    cell = records[0].cell
    name = f"{cell.dataset}@{cell.features}"
    digest = f"digest {_short(cell.features_digest)}"
    try:
        features = open_features(get_dataset(cell.dataset), cell.features)
    except ZslbenchError:
        features = None
    if features is None or features.manifest.digest != cell.features_digest:
        return f"{escape('latex', name)} ({digest}); its provenance is not on this machine."
    manifests = [part.manifest for part in features.parts]
    told = [f"{cell.dataset}@{manifest.name}: {_facts(manifest)}" for manifest in manifests]
    return f"{escape('latex', ' '.join(told))} ({digest})."


def _facts(manifest: Manifest) -> str:
    facts = [
        "SIMULATED, no video was read" if manifest.simulated else "",
        f"extractor {manifest.extractor}",
        f"trained on {', '.join(manifest.trained_on) or 'data that are not declared'}"
        + (" (overlap unknown)" if overlap_unknown(manifest.trained_on) and not manifest.simulated else ""),
        f"weights {manifest.weights_digest[:_DIGEST]}" if manifest.weights_digest else "",
        f"reader {manifest.reader}" if manifest.reader else "",
        f"frames: {manifest.frame_indices}" if manifest.frame_indices else "",
        f"PCA fitted on {manifest.pca_fit} videos" if manifest.pca_fit else "",
        f"{manifest.n_videos:,} videos, {manifest.dim} values ({manifest.kind})",
        manifest.note,
    ]
    return "; ".join(filter(None, facts))


def _caveats(findings: Sequence[Finding]) -> str:
    """Return the findings of the audit, but no notes, the worst first."""
    worse = [each for each in findings if each.severity is not Severity.NOTE]
    if not worse:
        return "The audit found no leak and has no warning."
    told = [f"{each.code} ({each.severity}): {each.title} ({each.concerns})" for each in worse[:_MOST_FINDINGS]]
    more = f" And {len(worse) - _MOST_FINDINGS} more." if len(worse) > _MOST_FINDINGS else ""
    return f"Found by the audit: {'; '.join(told)}.{more}"


def _versions(origins: Origins) -> str:
    found: dict[str, list[str]] = {}
    for name, version in sorted(origins.versions):
        found.setdefault(name, []).append(version)
    said = [f"{name} {', '.join(found[name])}" for name in _PACKAGES if name in found]
    commits = [f"commit {commit[:_DIGEST]}, {state}" for commit, state in origins.commits if state]
    machines = [f"{processor}, {cores} cores, {device}" for processor, cores, device, _ in origins.machines]
    return "; ".join([*said, *commits, *machines]) + "." if said else "not recorded."


def _commands(origins: Origins, command: str) -> str:
    known = {line: of.total() for line, of in origins.commands.items() if line}
    lines = sorted(known, key=lambda line: (-known[line], line))
    shown = [*lines[:_MOST_COMMANDS], *([command] if command else [])]
    more = f" {len(lines) - _MOST_COMMANDS} more are in the results." if len(lines) > _MOST_COMMANDS else ""
    items = "\n".join(rf"\item {_code(line)}" for line in shown)
    intro = escape("latex", f"The runs, and this page.{more}")
    spaces = r"\raggedright\topsep0pt\itemsep0pt\parsep0pt\leftmargin1em"
    return "\n".join([_paragraph("Commands", intro), rf"\begin{{list}}{{}}{{{spaces}}}", items, r"\end{list}"])
