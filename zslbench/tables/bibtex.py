"""References in plain text to BibTeX. Nothing is added that the text does not have."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from zslbench.tables.writer import escape

_AUTHOR = r"[^\W\d_a-z][\w'’-]*(?: [^\W\d_a-z][\w'’-]*)*"
_SEVERAL = rf"{_AUTHOR}(?:, {_AUTHOR})*"
_DOTS = re.compile(rf"(?P<authors>{_SEVERAL}(?: and {_AUTHOR})?(?: et al)?)[.:]+ (?P<title>.+)\. (?P<venue>.+)")
_COMMAS = re.compile(rf"(?P<authors>{_SEVERAL}(?: and {_AUTHOR}| et al\.)), (?:(?P<title>.+), )?(?P<venue>[^,]+)")
_YEAR = re.compile(r"(?P<rest>.*?)[,.]? (?P<year>(?:19|20)\d\d)")
_ARXIV = re.compile(r"arXiv[: ](?P<number>\d{4}\.\d{4,5})")
_JOURNALS = ("IJCV", "IEEE", "JMLR", "Technometrics")
_SECTION = re.compile(r"^References\n-+\n(.*?)(?=\n+[A-Z][A-Za-z ]+\n---|\Z)", re.DOTALL | re.MULTILINE)
_LONGEST_VENUE = 3  # words; more are a title


@dataclass(frozen=True)
class Reference:
    """A reference: family names, title, venue and year, as far as its text has them.

    Attributes
    ----------
    text
        All of it, as it was written.

    Examples
    --------
    >>> found = Reference.read("Gan, Yang and Gong, Learning Attributes Equals Generalization, CVPR 2016")
    >>> found.authors, found.title, found.venue, found.year, found.key
    (('Gan', 'Yang', 'Gong'), 'Learning Attributes Equals Generalization', 'CVPR', '2016', 'gan2016learning')
    >>> Reference.read("a page of the web").authors
    ()
    """

    text: str
    authors: tuple[str, ...] = ()
    title: str = ""
    venue: str = ""
    year: str = ""

    @classmethod
    def read(cls, text: str) -> Reference:
        """Return the reference that a text is: ``A, B. Title. Venue, 2020`` or ``A and B, Title, Venue 2020``."""
        text = " ".join(text.split()).rstrip(".")
        dated = _YEAR.fullmatch(text)
        found = dated and (_DOTS.fullmatch(dated["rest"]) or _COMMAS.fullmatch(dated["rest"]))
        if not (dated and found):
            return cls(text)
        names = re.sub(r" et al\.?$", ", others", found["authors"])
        title, venue = found["title"] or "", found["venue"]
        if not title and len(venue.split()) > _LONGEST_VENUE:
            title, venue = venue, ""
        return cls(text, tuple(re.split(r", | and ", names)), title, venue, dated["year"])

    @property
    def key(self) -> str:
        """First author, year and first word of the title, as in ``hahn2019action2vec``."""
        words = re.findall(r"\w+", (self.title or self.venue or self.text).casefold())
        long = next((word for word in words if len(word) > 1 and word != "the"), "x")
        return re.sub(r"\W", "", self.authors[0].casefold() if self.authors else "") + self.year + long

    @property
    def identity(self) -> tuple[str, ...]:
        """What two spellings of one reference share: first author, year and title, or all of its text."""
        known = (self.authors[0], self.year, self.title or self.venue) if self.authors else (self.text,)
        return tuple(" ".join(re.findall(r"\w+", each.casefold())) for each in known)

    def bibtex(self, key: str = "") -> str:
        """Return the entry, under another key if one is given."""
        fields = {"author": " and ".join(self.authors), "title": self.title and f"{{{escape('latex', self.title)}}}"}
        kind, arxiv = "misc", _ARXIV.fullmatch(self.venue)
        if not self.authors:
            fields["note"] = escape("latex", self.text)
        elif arxiv:
            fields |= {"eprint": arxiv["number"], "archiveprefix": "arXiv"}
        elif self.venue and self.title:
            kind, place = ("article", "journal") if self.venue.startswith(_JOURNALS) else ("inproceedings", "booktitle")
            fields[place] = escape("latex", self.venue)
        else:
            fields["howpublished"] = escape("latex", self.venue)
        fields["year"] = self.year
        # BibTeX counts braces, whatever stands before them.
        for escaped, command in ((r"\{", r"\textbraceleft{}"), (r"\}", r"\textbraceright{}")):
            fields = {name: value.replace(escaped, command) for name, value in fields.items()}
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{kind}{{{key or self.key},", *lines, "}"])


def references_of(docstring: str | None, citation: str) -> list[Reference]:
    """Return the references in the numpy section ``References`` of a docstring, else those of a citation.

    Examples
    --------
    >>> [found.year for found in references_of(None, "Akata and Lee, CVPR 2015; Norouzi et al., ICLR 2014")]
    ['2015', '2014']
    """
    section = _SECTION.search(inspect.cleandoc(docstring or ""))
    texts = re.split(r"\.\. \[\d+\] ", section[1])[1:] if section else re.split(r"; (?=[A-Z])", citation)
    return [Reference.read(text) for text in texts if text.strip()]
