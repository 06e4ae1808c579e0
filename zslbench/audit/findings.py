"""The findings of an audit: stable codes, their severity, and what to do about each."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple


class Severity(enum.StrEnum):
    """The severity of a finding, the worst first.

    Examples
    --------
    >>> [severity_of(code).value for code in ("L1", "W1", "N1")]
    ['leak', 'warning', 'note']
    """

    LEAK = "leak"
    WARNING = "warning"
    NOTE = "note"


class Code(NamedTuple):
    """One kind of finding.

    Examples
    --------
    >>> CODES["W4"].title
    'videos are missing'
    """

    title: str
    remedy: str


# The letter is the severity. A code never changes its meaning, because papers may quote it.
CODES = {
    "L1": Code(
        "unseen classes were labels of the extractor's training",
        "leave them out: 'zslbench splits filter DATASET --against LABELS --save NAME', then '--family NAME'; or "
        "report the two groups of classes separately.",
    ),
    "L2": Code(
        "the extractor was trained on the dataset that it is tested on",
        "use an extractor that has never seen this dataset; with this one, no split is zero-shot.",
    ),
    "L3": Code(
        "seen classes of the other dataset are unseen classes here",
        "leave them out of the test by --without-overlap, or of training: "
        "'zslbench splits filter SEEN_DATASET --against DATASET --as seen --save NAME'.",
    ),
    "L4": Code(
        "a step of the features was fitted on all videos, including those that are tested",
        "fit it on the seen-class videos of each split, or on other data; until then, say so beside every figure.",
    ),
    "L5": Code(
        "test labels were used",
        "use such a row as a bound or a reference; never compare a method with it.",
    ),
    "L6": Code(
        "the recorded information budget is not what the method declares",
        "run these cells again ('--rerun all'): tables rank by the recorded budget.",
    ),
    "L7": Code(
        "videos of unseen classes are also training videos",
        "keep one video of each pair, under its right class, and import the features again; or use a split that has "
        "the classes of each pair on one side.",
    ),
    "L8": Code(
        "class vectors were made from videos of unseen classes",
        "make them from words, texts or attributes; only vectors of seen classes may come from videos.",
    ),
    "W1": Code(
        "labels of the extractor's training are near unseen classes",
        "check the pairs; 'zslbench splits filter DATASET --against LABELS --save NAME' leaves out all of them.",
    ),
    "W2": Code(
        "objects of unseen actions were labels of the extractor's training",
        "this is usual in the field; say it beside the figures: the object was labelled, the action was not.",
    ),
    "W3": Code(
        "overlap unknown: the training data of the extractor cannot be checked",
        "name them with 'zslbench features import ... --trained-on NAME'; a package can add the labels of further data "
        "(docs/audit.md).",
    ),
    "W4": Code(
        "videos are missing", "say how many were scored, or get the others; figures of other papers are on all videos."
    ),
    "W5": Code("not all splits of the family are done", "run 'zslbench run ... --splits all' before quoting a mean."),
    "W6": Code(
        "rows of one table have different splits or seeds",
        "run what is missing, so that every row has the same splits and seeds; or compare on the common ones with "
        "'zslbench compare'.",
    ),
    "W7": Code(
        "one table mixes several versions of its data",
        "the leaderboard shows only the newest version; run the older rows again on it, or rename one of the two.",
    ),
    "W8": Code(
        "results of code that is not the installed one",
        "run the same command again: a changed method makes new cells.",
    ),
    "W9": Code(
        "results of uncommitted code", "commit, then run with '--rerun all', so that the commit identifies the code."
    ),
    "W10": Code(
        "the training videos may contain near-copies of held-out videos (gzsl)",
        "import the videos' source groups (column 'group'), or the official lists (column 'official').",
    ),
    "W11": Code("simulated features", "import real features; these figures only show that everything runs."),
    "W12": Code(
        "seen classes of the other dataset are near unseen classes here",
        "check the pairs; 'zslbench splits filter SEEN_DATASET --against DATASET --as seen --save NAME' leaves them "
        "out of training.",
    ),
    "W13": Code(
        "several settings of one method were measured on the test",
        "report all of them, because quoting the best is selection on the test; or leave the parameters unset, so that "
        "the method chooses them on held-out seen classes.",
    ),
    "W14": Code(
        "videos of differently named classes are nearly the same",
        "look at the pairs: one video under two names belongs into one class; equal captions need nothing.",
    ),
    "W15": Code(
        "most videos have the same features",
        "extract the features again: they cannot distinguish videos.",
    ),
    "W16": Code(
        "class vectors resemble the videos of unseen classes more than words do",
        "say what the vectors were made from; if videos of these classes were used, the figures are not zero-shot.",
    ),
    "W17": Code(
        "texts of many classes name unseen classes",
        "describe a class without the names of others; methods that read these texts compare classes by such names.",
    ),
    "W18": Code(
        "class names are not split into words",
        "use names=plain or names=spaced: an encoder does not know ApplyEyeMakeup as three words; say so beside "
        "figures that are compared with such ones.",
    ),
    "W19": Code(
        "ids of videos name other classes than those that the videos are in",
        "correct the classes and import the features again; perhaps numbers of labels were read in another order of "
        "the classes.",
    ),
    "W20": Code(
        "classes have more videos than the dataset",
        "check their classes and their ids: videos of other classes, or copies, are among them.",
    ),
    "W21": Code(
        "class texts were written by a language model",
        "say which model, and its prompt, as far as they are known; it may have read labels or descriptions of the "
        "tested videos.",
    ),
    "N1": Code(
        "splits of the family repeat each other", "report both numbers; repeated splits count once in the figures."
    ),
    "N2": Code(
        "classes have nearly equal vectors",
        "try another name-edit table or source; no method can distinguish the classes by these vectors.",
    ),
    "N3": Code("parameters widen the information budget", "nothing to do: the row is ranked with the wider budget."),
    "N4": Code(
        "published figures on this dataset that were selected on the test",
        "never show them beside measured figures without their caveat, which 'zslbench ledger' prints.",
    ),
    "N5": Code(
        "texts of some classes name unseen classes",
        "look at the examples; a common verb in a text is usual, a comparison with an unseen class is not.",
    ),
    "N6": Code(
        "methods chose on the family's validation classes",
        "say it beside the figures; methods that do not ask for these classes choose on held-out seen classes.",
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
        Lines of evidence; the first line is the summary.
    classes
        The classes concerned, if it is about classes.
    rows
        Names of the rows concerned.
    remedy
        What to do; by default the remedy of the code.

    Examples
    --------
    >>> finding = Finding("W4", "ucf101@c3d", ("13,000 of 13,320 videos of 101 classes; 7 classes lack some",))
    >>> finding.severity, finding.title
    (<Severity.WARNING: 'warning'>, 'videos are missing')
    """

    code: str
    concerns: str
    evidence: tuple[str, ...]
    classes: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    remedy: str = ""

    def __post_init__(self) -> None:
        if not self.remedy:
            object.__setattr__(self, "remedy", CODES[self.code].remedy)  # the usual way into a frozen dataclass

    @property
    def severity(self) -> Severity:
        """``leak``, ``warning`` or ``note``."""
        return severity_of(self.code)

    @property
    def title(self) -> str:
        """What kind of finding it is."""
        return CODES[self.code].title


def mark_note(code: str) -> str:
    """Return what a code means that a table shows as a mark."""
    return f"[{code}]: {CODES[code].title}; see 'zslbench audit'."


def severity_of(code: str) -> Severity:
    """Return the severity of a code."""
    return _SEVERITIES[code[0]]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings sorted by code and by what they concern; join those that agree in both and in their classes."""
    joined: dict[tuple[str, str, tuple[str, ...]], Finding] = {}
    for each in findings:
        key = (each.code, each.concerns, each.classes)
        if (known := joined.get(key)) is not None:
            evidence = tuple(dict.fromkeys(known.evidence + each.evidence))
            each = replace(known, evidence=evidence, rows=tuple(dict.fromkeys(known.rows + each.rows)))
        joined[key] = each
    order = list(CODES)
    return sorted(joined.values(), key=lambda each: (order.index(each.code), each.concerns))
