"""Draw the pictures of pages under docs/images again, as a browser shows them.

Run ``make pictures``, or ``python tools/screenshots.py report-dark`` for some. It imports the captions of UCF101 from
``$ZSLBENCH_SHARED_DATA`` (or shared/data beside the project) and runs methods on them, in a folder of its own
(``--results``; a second run is quick). Then it opens the report, the site and MLflow's pages in Chromium.

``docs/images/drawn.json`` says with which code each picture was drawn; a test compares it with the code of now.
``python tools/screenshots.py --list`` lists the pictures whose code has changed. For a picture of another page, write a
function that draws it, and add it to ``PICTURES`` with the files that it shows.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from zslbench.cells.source import code_text

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
DRAWN = IMAGES / "drawn.json"
WIDTH = 1440
DATA = Path(os.environ.get("ZSLBENCH_SHARED_DATA") or ROOT.parent / "shared" / "data") / "ucf101-captions"
METHODS = ("reverse-ridge", "ridge", "eszsl", "devise", "action2vec", "random")
THEIRS = ("conse", "sae")  # of another lab, in a bundle


def zslbench(*args: object) -> None:
    """Run a command line."""
    subprocess.run([sys.executable, "-m", "zslbench", *map(str, args)], check=True)


@dataclass
class Stage:
    """What the pictures are taken of: results, the pages of them, and a browser. Each is made when it is used."""

    folder: Path
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def run(self, methods: Iterable[str], name: str, *more: str) -> Path:
        """Return a folder of results of the methods."""
        results = self.folder / name
        self.import_features()
        chosen = [part for method in methods for part in ("--method", method)]
        what = ("--dataset", "ucf101", "--features", "captions", "--splits", 3)
        zslbench("run", *what, *chosen, "--results", results, *more)
        return results

    def import_features(self) -> None:
        """Import the features, unless the folder has them."""
        os.environ["ZSLBENCH_DATA_ROOT"] = str(self.folder / "data")
        if (self.folder / "data").is_dir():
            return
        if not DATA.is_dir():
            sys.exit(f"{DATA} is missing; set ZSLBENCH_SHARED_DATA to the folder that has {DATA.name}.")
        made_of = ("--features", DATA / "features.npy", "--videos", DATA / "videos.csv")
        origin = ("--extractor", "minilm-captions", "--trained-on", "web-captions")
        zslbench("features", "import", "ucf101", "captions", *made_of, *origin)

    @cached_property
    def results(self) -> Path:
        """The folder of the results."""
        return self.run(METHODS, "lab-a", "--save-model")

    @cached_property
    def site(self) -> str:
        """The address of a site over the results and a bundle of another lab."""
        bundle, folder = self.folder / "lab-b.zip", self.folder / "site"
        bundle.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        zslbench("results", "export", bundle, "--results", self.run(THEIRS, "lab-b", "--no-track"))
        sources = ("--results", self.results, "--results", bundle)
        zslbench("site", folder, *sources, "--title", "Zero-shot on UCF101")
        return (folder / "index.html").resolve().as_uri()

    @cached_property
    def report(self) -> str:
        """The address of the report."""
        path = self.folder / "report.html"
        zslbench("report", "--results", self.results, "--out", path)
        return path.resolve().as_uri()

    @cached_property
    def mlflow(self) -> str:
        """The address of MLflow's pages."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "zslbench", "ui", "--results", str(self.results), "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.closing.callback(server.wait, 60)
        self.closing.callback(server.terminate)
        assert server.stdout is not None
        server.stdout.readline()  # it prints its address when it answers
        return f"http://127.0.0.1:{port}"

    def page(self, address: str, *, height: int = 900, scheme: str = "light", width: int = WIDTH) -> Any:
        """Return a page of the browser that shows an address."""
        page = self._browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(60_000)
        page.goto(address)
        return page

    @cached_property
    def _browser(self) -> Any:
        from playwright.sync_api import sync_playwright

        names = ("chromium", "chromium-browser", "google-chrome", "chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        if found is None:
            sys.exit("There is no Chromium on this machine; Debian has it as the package 'chromium'.")
        driver = self.closing.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        self.closing.callback(browser.close)
        return browser


def leaderboard(stage: Stage, path: Path) -> None:
    """Draw the first table of the report, and its figure."""
    page = stage.page(stage.report, width=1280)
    box = page.evaluate(
        """() => {
          const table = document.querySelector('main .wide'), heading = document.querySelector('main h3');
          const figure = document.querySelector('main figure');
          const [top, bottom] = [heading.getBoundingClientRect().top, figure.getBoundingClientRect().bottom];
          const {left, right} = table.getBoundingClientRect();
          return {x: left - 16, y: top - 12, width: right - left + 32, height: bottom - top + 24};
        }"""
    )
    page.screenshot(path=path, clip=box, full_page=True)


def report_light(stage: Stage, path: Path) -> None:
    """Draw the first screen of the report."""
    stage.page(stage.report, width=1280, height=1180).screenshot(path=path)


def report_dark(stage: Stage, path: Path) -> None:
    """Draw the accuracies of classes in the report, in dark colours."""
    page = stage.page(stage.report, scheme="dark", height=1110)
    page.get_by_role("heading", name="Classes", exact=True).evaluate("heading => heading.scrollIntoView()")
    page.screenshot(path=path)


def site(stage: Stage, path: Path) -> None:
    """Draw the first page of a site."""
    stage.page(stage.site, width=1600, height=760).screenshot(path=path)


def rows(stage: Stage) -> Any:
    """Return MLflow's page of the rows."""
    page = stage.page(stage.mlflow, height=720)
    page.get_by_text("matching runs").wait_for()
    page.locator(".ag-row a").first.wait_for()
    return page


def mlflow_experiment(stage: Stage, path: Path) -> None:
    """Draw MLflow's page of the rows."""
    rows(stage).screenshot(path=path)


def mlflow_run(stage: Stage, path: Path) -> None:
    """Draw MLflow's page of one row."""
    page = rows(stage)
    page.get_by_role("link", name="reverse-ridge", exact=True).first.click()
    page.get_by_role("link", name="split 0, seed 0").wait_for()
    page.get_by_text("top1_low", exact=True).first.wait_for()
    page.screenshot(path=path)


def mlflow_compare(stage: Stage, path: Path) -> None:
    """Draw MLflow's comparison of the methods."""
    page = rows(stage)
    for method in METHODS[:-1]:
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=method, exact=True))
        row.locator(".ag-selection-checkbox").first.click()
    page.get_by_role("button", name="Compare").click()
    page.locator(".parcoords .axis-title").first.wait_for()
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # plotly moves the axes into place
    page.screenshot(path=path)


REPORT = ("zslbench/report/page.*", "zslbench/report/_style.py", "zslbench/report/_sections.py")
SITE = ("zslbench/report/page.*", "zslbench/report/_style.py", "zslbench/report/site.py")
MLFLOW = ("zslbench/tracking/view.py", "zslbench/tracking/_content.py", "zslbench/tracking/_pages.py")
# name -> what draws it, and the files of the code that it shows
PICTURES: dict[str, tuple[Callable[[Stage, Path], None], tuple[str, ...]]] = {
    "leaderboard-light": (leaderboard, (*REPORT, "zslbench/report/_intervals.py")),
    "report-light": (report_light, (*REPORT, "zslbench/report/_intervals.py")),
    "report-dark": (report_dark, (*REPORT, "zslbench/report/_heatmap.py")),
    "site": (site, SITE),
    "mlflow-experiment": (mlflow_experiment, MLFLOW),
    "mlflow-run": (mlflow_run, MLFLOW),
    "mlflow-compare": (mlflow_compare, MLFLOW),
}


def shown(name: str) -> str:
    """Return the digest of the code that a picture shows; comments, docstrings and layout do not count."""
    _, patterns = PICTURES[name]
    files = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    return hashlib.sha256(b"\0".join(map(_code, files))).hexdigest()[:16]


def _code(path: Path) -> bytes:
    return code_text(ast.parse(path.read_bytes())).encode() if path.suffix == ".py" else path.read_bytes()


def changed() -> list[str]:
    """Return the pictures that are missing, or whose code has changed since they were drawn."""
    drawn = json.loads(DRAWN.read_text(encoding="utf-8")) if DRAWN.exists() else {}
    return [name for name in PICTURES if drawn.get(name) != shown(name) or not (IMAGES / f"{name}.png").exists()]


@contextlib.contextmanager
def _noting() -> Iterator[dict[str, str]]:
    """Yield what was drawn with which code; write it at the end, also after an error."""
    drawn = json.loads(DRAWN.read_text(encoding="utf-8")) if DRAWN.exists() else {}
    try:
        yield drawn
    finally:
        kept = {name: drawn[name] for name in sorted(PICTURES) if name in drawn}
        DRAWN.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PICTURES)} [default: all]")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "screenshots", help="folder of the results")
    parser.add_argument("--list", action="store_true", help="only list the pictures whose code has changed")
    args = parser.parse_args()
    if unknown := set(args.names) - set(PICTURES):
        parser.error(f"there is no picture {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    if args.list:
        print("\n".join(changed()))
        return
    stage = Stage(args.results)
    with stage.closing, _noting() as drawn:
        for name in args.names or PICTURES:
            path = IMAGES / f"{name}.png"
            PICTURES[name][0](stage, path)
            Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
            drawn[name] = shown(name)
            print(f"docs/images/{name}.png")


if __name__ == "__main__":
    main()
