"""Write a self-contained HTML page: sections, sortable tables and figures in one file that needs no network.

Heavy libraries are imported only when a page is made, so that the command line can import this module fast.
"""

from __future__ import annotations

import base64
import contextlib
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zslbench.errors import ZslbenchError
from zslbench.files import new_file
from zslbench.report._style import THEME
from zslbench.tables.text import visible
from zslbench.tables.writer import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST_SVG = 3_000_000  # characters; a cloud of many thousand points is smaller and faster as a PNG
_FILTER_FROM = 30  # rows from which a table gets a search field
# Parts of matplotlib's SVG that the page does not need: fonts (it has its own), ids, empty groups, rotations by 0.
_IDLE = re.compile(
    r"""<metadata>.*?</metadata>|font-family:[^;"]*;?[ ]?|(?<=<g)[ ]id="[^"]*"(?=>)|<g[ ]id="[^"]*"/>"""
    r"""|[ ]transform="rotate\(-0[ ][^"]*"|(?<=\n)[ ]+""",
    re.DOTALL,
)
_GREY = "rgba(128,128,128,0.25)"  # visible on white and on black


@dataclass
class _Section:
    """A section; the kind of each block, a part of ``page.html``, stands before its content."""

    heading: str
    anchor: str
    note: str
    blocks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Page:
    """A page that is built from top to bottom and written as one file.

    Every text is escaped. The page loads nothing from elsewhere. It contains plotly.js once, and only with a
    plotly figure.

    Parameters
    ----------
    title, subtitle
        Title and subtitle at the top; the title is also that of the window.
    warning
        Warning at the top, such as that features are simulated.

    Raises
    ------
    ZslbenchError
        The extra ``report`` is not installed.

    Examples
    --------
    >>> page = Page("My results", warning="SIMULATED FEATURES")
    >>> page.section("Accuracy")
    >>> page.table(["method", "top-1 %"], [["ridge", 31.2]], "HMDB51")
    >>> page.write(Path("report.html"))
    """

    def __init__(self, title: str, subtitle: str = "", *, warning: str = "") -> None:
        require_report_extra()
        self.title = title
        self.subtitle = subtitle
        self.warning = warning
        self.plotly = False
        self.sections: list[_Section] = []
        self._anchors: set[str] = set()
        self._figures = 0

    def section(self, heading: str, note: str = "") -> None:
        """Begin a section, with a line in the table of contents."""
        base = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"
        anchor, n = base, 1
        while anchor in self._anchors:
            n += 1
            anchor = f"{base}-{n}"
        self._anchors.add(anchor)
        self.sections.append(_Section(heading, anchor, note))

    def heading(self, text: str) -> None:
        """Add a heading inside a section."""
        self._add("heading", text=text)

    def text(self, paragraph: str) -> None:
        """Add a paragraph."""
        self._add("text", text=paragraph)

    def bullets(self, sentences: Iterable[str]) -> None:
        """Add a list of sentences, such as the footnotes of a table; add nothing if it is empty."""
        if sentences := list(sentences):
            self._add("bullets", sentences=sentences)

    def links(self, targets: Iterable[tuple[str, str]]) -> None:
        """Add a line of links, as pairs (text, relative path or address)."""
        self._add("links", targets=list(targets))

    def code(self, text: str) -> None:
        """Add text in a fixed-width font, such as the command that made the page."""
        self._add("code", text=text)

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[Any]],
        caption: str = "",
        sort: bool = True,
        *,
        fold: str = "",
        filters: Sequence[str] = (),
    ) -> None:
        """Add a table whose first column names its rows.

        Parameters
        ----------
        headers
            (n,) column names.
        rows
            Rows of n cells each: text, numbers, ``None`` for nothing, or :class:`~zslbench.tables.writer.Shown`. Text
            that is a number is sorted as one.
        caption
            Caption of the table.
        sort
            Whether the reader can sort by columns.
        fold
            Shown instead until the reader opens it; printed open.
        filters
            Headers of columns by whose texts the reader can choose rows; such a table has a search field, too.

        Raises
        ------
        ValueError
            A row has more or fewer cells than there are headers.
        """
        cells = [[_cell(value) for value in row] for row in rows]
        for row in cells:
            if len(row) != len(headers):
                raise ValueError(f"a row of {len(row)} cells under {len(headers)} headers")
        numeric = [
            any(row[i].value is not None for row in cells)
            and all(row[i].value is not None or len(row[i].text) < 2 for row in cells)
            for i in range(len(headers))
        ]
        search = bool(filters) or (sort and len(cells) >= _FILTER_FROM)
        choices = [
            (name, place, sorted({row[place].text for row in cells} - {""}))
            for name, place in ((name, list(headers).index(name)) for name in filters)
        ]
        self._add(
            "table", headers=list(headers), rows=cells, numeric=numeric, caption=caption, sort=sort, search=search,
            fold=fold, choices=choices,
        )  # fmt: skip

    def figure(
        self, figure: Any, alt: str, caption: str = "", *, themed: bool = False, natural: bool = False, fold: str = ""
    ) -> None:
        """Add a matplotlib figure (as inline SVG) or a plotly figure (interactive).

        Parameters
        ----------
        figure
            ``matplotlib.figure.Figure`` or ``plotly.graph_objects.Figure``; it is not changed. A plotly figure is shown
            without its own background and in the page's colours.
        alt
            Text alternative for readers who cannot see the figure.
        caption
            Below it.
        themed
            Whether a matplotlib figure has the colours of :mod:`zslbench.report._style`. Then its lines and texts
            follow the page, also in dark mode, and its texts stay texts. Other figures lie on a white card.
        natural
            Whether to show it in its own size, with scrolling, instead of as wide as the page.
        fold
            Shown instead until the reader opens it; printed open.

        Raises
        ------
        ValueError
            ``alt`` is empty.
        """
        if not alt.strip():
            raise ValueError("a figure needs a text alternative")
        self._figures += 1
        name = f"figure-{self._figures}"
        if hasattr(figure, "to_plotly_json"):
            self.plotly = True
            html, kind = _plotly(figure, name), "plotly"
        else:
            html, kind = _inline_picture(figure, name, themed), "picture"
            kind += " themed" * themed + " natural" * natural
        self._add("figure", html=html, kind=kind, alt=" ".join(alt.split()), caption=caption, fold=fold)

    def render(self) -> str:
        """Return the page as one HTML text."""
        import jinja2
        from markupsafe import Markup

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("zslbench", "report"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=lambda value: visible(value, lines=True) if type(value) is str else value,
        )
        plotlyjs = ""
        if self.plotly:
            from plotly.offline import get_plotlyjs

            plotlyjs = Markup(get_plotlyjs())  # noqa: S704
        template = environment.get_template("page.html")
        html: str = template.render(page=self, plotlyjs=plotlyjs)
        return html

    def write(self, path: Path) -> None:
        """Write the page, completely or not at all.

        Raises
        ------
        ZslbenchError
            The file cannot be written.
        """
        html = self.render()
        with new_file(path) as work:
            work.write_text(html, encoding="utf-8")

    def _add(self, block: str, **content: Any) -> None:
        if not self.sections:
            self.sections.append(_Section("", "", ""))
        self.sections[-1].blocks.append((block, content))


def require_report_extra() -> None:
    """Raise an error if pages cannot be made.

    Raises
    ------
    ZslbenchError
        The extra ``report`` is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise ZslbenchError(
            'HTML pages need jinja2, which is not installed: pip install "zslbench[report]".'
        ) from error


def _cell(value: Any) -> Shown:
    shown = value if isinstance(value, Shown) else _shown(value)
    number = shown.value is not None and math.isfinite(shown.value)
    return shown._replace(value=float(shown.value) if number else None)  # type: ignore[arg-type]


def _shown(value: Any) -> Shown:
    if value is None or isinstance(value, bool):  # before int, because a bool is an int
        return Shown("" if value is None else "yes" if value else "no")
    if isinstance(value, int | float):
        return Shown(f"{value:,}" if isinstance(value, int) else f"{value:g}", value)
    text = str(value)
    with contextlib.suppress(ValueError):  # a number in a text is sorted as a number
        return Shown(text, float(text.removesuffix("%").replace(",", "")))
    return Shown(text)


def _inline_picture(figure: Figure, name: str, themed: bool = False) -> Any:
    """Return a matplotlib figure as inline SVG, or as PNG if the SVG would be very large."""
    from markupsafe import Markup
    from matplotlib import rc_context

    text = io.StringIO()
    # With a salt and without a date, the same figure gives the same file.
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none" if themed else "path"}):
        figure.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight", transparent=themed or None)
    svg = text.getvalue()
    if len(svg) > _LARGEST_SVG:
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=150, bbox_inches="tight")
        encoded = base64.b64encode(picture.getvalue()).decode()
        return Markup('<img alt="" src="data:image/png;base64,{}">').format(encoded)
    svg = svg[svg.index("<svg") :]
    for before in (' id="', 'href="#', "url(#"):  # two figures of one page must not have the same ids
        svg = svg.replace(before, f"{before}{name}-")
    if themed:
        svg = _IDLE.sub("", svg)
        for colour, variable in THEME.items():
            svg = svg.replace(colour, f"var(--{variable})")
    return Markup(svg)  # noqa: S704  matplotlib escapes the texts in it


def _plotly(figure: Any, name: str) -> Any:
    import plotly.graph_objects as go
    import plotly.io as pio
    from markupsafe import Markup

    axis = {"gridcolor": _GREY, "zerolinecolor": _GREY, "linecolor": _GREY}
    clear = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}
    scene = {f"{letter}axis": {**axis, "backgroundcolor": "rgba(0,0,0,0)", "showbackground": False} for letter in "xyz"}
    template = go.layout.Template(pio.templates["plotly_white"])
    buttons = {"bgcolor": "rgba(0,0,0,0)", "color": "rgb(128,128,128)"}
    template.layout.update(
        {**clear, "xaxis": axis, "yaxis": axis, "scene": scene, "modebar": buttons, "font": {"family": "system-ui"}}
    )
    shown = go.Figure(figure)  # a copy, because the caller's figure must not change
    shown.update_layout(template=template, **clear, autosize=True, width=None)
    config = {"responsive": True, "displaylogo": False}
    html = pio.to_html(shown, config=config, include_plotlyjs=False, full_html=False, div_id=name)
    return Markup(html)  # noqa: S704  plotly escapes < and > in its JSON
