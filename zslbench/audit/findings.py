"""What an audit can find: stable codes, their severity, and what to do about each."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple


class Severity(enum.StrEnum):
    """How bad a finding is, the worst first."""

    LEAK = "leak"
    WARNING = "warning"
    NOTE = "note"


class Code(NamedTuple):
    """One kind of finding."""

    title: str
    remedy: str


# The letter is the severity. Codes are never given to something else: papers may quote them.
CODES = {
    "L1": Code(
        "unseen classes were labels of the extractor's training",
        "leave them out: 'zslbench splits filter DATASET --against LABELS --save NAME', then '--family NAME'; or "
        "report the two groups of classes apart.",
    ),
    "L2": Code(
        "the extractor was trained on the dataset that it is tested on",
        "use an extractor that has never seen this dataset; no split of it is zero-shot with this one.",
    ),
    "L3": Code(
        "seen classes of the other dataset are unseen classes here",
        "leave them out of training: 'zslbench splits filter SEEN_DATASET --against DATASET --as seen --save NAME'.",
    ),
    "L4": Code(
        "a step of the features was fitted on all videos, those of unseen classes among them",
        "fit it on seen-class videos of each split, or on other data; say so beside every figure until then.",
    ),
    "L5": Code(
        "test labels were used",
        "read such a row as a bound or a reference line; never compare a method with it.",
    ),
    "L6": Code(
        "the recorded information budget is not what the method declares",
        "run these cells again ('--rerun all'): tables rank by the recorded budget.",
    ),
    "W1": Code(
        "labels of the extractor's training are near unseen classes",
        "look at the pairs; 'zslbench splits filter DATASET --against LABELS --save NAME' leaves all of them out.",
    ),
    "W2": Code(
        "objects of unseen actions were labels of the extractor's training",
        "usual in the field and to be said: the object was labelled, the action was not.",
    ),
    "W3": Code(
        "what the extractor was trained on cannot be checked",
        "tell it with 'zslbench features import ... --trained-on NAME'; a package can bring the labels of further data "
        "(docs/audit.md).",
    ),
    "W4": Code("videos are missing", "say how many were scored, or get the rest; other papers' figures are on all."),
    "W5": Code("not all splits of the family are done", "run 'zslbench run ... --splits all' before quoting a mean."),
    "W6": Code(
        "rows of one table are not like with like",
        "run what is missing, so that every row has the same splits and seeds; or compare on common ones with "
        "'zslbench compare'.",
    ),
    "W7": Code(
        "one table's names stand for data of several versions",
        "the leaderboard shows the newest only; run the older rows again on it, or rename one of the two.",
    ),
    "W8": Code(
        "results of code that is not the installed one",
        "run the same command again: a changed method is another cell.",
    ),
    "W9": Code(
        "results of uncommitted code", "commit, then run with '--rerun all', so that the commit tells the code."
    ),
    "W10": Code(
        "near-copies of held-out videos may be among the training videos (gzsl)",
        "import the videos' source groups (column 'group'), or the official lists (column 'official').",
    ),
    "W11": Code("simulated features", "such figures only show that everything runs; import real features."),
    "W12": Code(
        "seen classes of the other dataset are near unseen classes here",
        "look at the pairs; 'zslbench splits filter SEEN_DATASET --against DATASET --as seen --save NAME' leaves them "
        "out of training.",
    ),
    "W13": Code(
        "several settings of one method were measured on the test",
        "quoting the best of them is selection on the test: report all, or let the method choose on held-out seen "
        "classes, as parameters that are left unset do.",
    ),
    "N1": Code(
        "splits of the family repeat each other", "report both numbers; repeated splits enter the figures once."
    ),
    "N2": Code(
        "classes have nearly equal vectors",
        "no method can tell them apart by these vectors; another name-edit table or source may.",
    ),
    "N3": Code("parameters widen the information budget", "nothing to do: the row is ranked by the wider one."),
    "N4": Code(
        "published figures on this dataset that were selected on the test",
        "never set them beside measured ones without their caveat: 'zslbench ledger'.",
    ),
}
_SEVERITIES = {"L": Severity.LEAK, "W": Severity.WARNING, "N": Severity.NOTE}


@dataclass(frozen=True)
class Finding:
    """One thing that a reader of the figures should know.

    Attributes
    ----------
    code
        One of :data:`CODES`.
    concerns
        The feature set, split family, table or method.
    evidence
        What was seen, a line each; the first line is the summary.
    classes
        The classes concerned, where it is about classes.
    rows
        Names of the rows concerned.
    remedy
        What to do; that of the code by default.
    """

    code: str
    concerns: str
    evidence: tuple[str, ...]
    classes: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    remedy: str = ""

    def __post_init__(self) -> None:
        if not self.remedy:
            object.__setattr__(self, "remedy", CODES[self.code].remedy)

    @property
    def severity(self) -> Severity:
        """``leak``, ``warning`` or ``note``."""
        return severity_of(self.code)

    @property
    def title(self) -> str:
        """What kind of finding it is."""
        return CODES[self.code].title


def severity_of(code: str) -> Severity:
    """Return the severity of a code."""
    return _SEVERITIES[code[0]]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by code and what they concern; those that agree in both, and in their classes, are joined."""
    joined: dict[tuple[str, str, tuple[str, ...]], Finding] = {}
    for each in findings:
        key = (each.code, each.concerns, each.classes)
        if (known := joined.get(key)) is not None:
            evidence = tuple(dict.fromkeys(known.evidence + each.evidence))
            each = replace(known, evidence=evidence, rows=tuple(dict.fromkeys(known.rows + each.rows)))
        joined[key] = each
    order = list(CODES)
    return sorted(joined.values(), key=lambda each: (order.index(each.code), each.concerns))
