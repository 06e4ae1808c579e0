"""Draw the pictures of the report and of the site in docs/images, in a headless Chromium.

It imports the captions of UCF101 from $ZSLBENCH_SHARED_DATA (or shared/data beside the project), runs a few methods in
a temporary folder, and takes pictures of the pages that ``zslbench report`` and ``zslbench site`` write:

    python tools/page_pictures.py [FOLDER]
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("ZSLBENCH_SHARED_DATA") or ROOT.parent / "shared" / "data") / "ucf101-captions"
METHODS = ("ridge", "reverse-ridge", "eszsl", "sae", "random")
THEIRS = ("conse", "devise")
LIGHT, DARK = {"color_scheme": "light"}, {"color_scheme": "dark"}


def zslbench(*arguments: object) -> None:
    """Run a command, quietly."""
    done = subprocess.run([sys.executable, "-m", "zslbench", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"zslbench {arguments[0]}: {done.stderr[-2000:]}")


def make_pages(work: Path) -> None:
    """Run the methods, and write a report and a site."""
    os.environ["ZSLBENCH_DATA_ROOT"] = str(work / "data")
    os.chdir(work)
    zslbench("features", "import", "ucf101", "captions", "--features", DATA / "features.npy", "--videos",
             DATA / "videos.csv", "--extractor", "minilm-captions", "--trained-on", "web-captions")  # fmt: skip
    line = ("run", "--dataset", "ucf101", "--features", "captions", "--splits", 5, "--no-track")
    for methods, family, results in (
        (METHODS, "bidilel-80/20", "lab-a"), (METHODS, "xu-50/50", "lab-a"), (THEIRS, "xu-50/50", "lab-b"),
    ):  # fmt: skip
        chosen = [part for method in methods for part in ("--method", method)]
        zslbench(*line, *chosen, "--family", family, "--results", results)
    zslbench("report", "--results", "lab-a", "--out", "report.html")
    zslbench("results", "export", "lab-b.zip", "--results", "lab-b")
    zslbench("site", "site", "--results", "lab-a", "--results", "lab-b.zip", "--title", "Zero-shot on UCF101")


def take_pictures(work: Path, folder: Path) -> None:
    """Take the pictures of the pages."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def opened(name: str, height: int, scheme: dict[str, str], width: int = 1400):
            page = browser.new_page(viewport={"width": width, "height": height}, **scheme)
            page.goto((work / name).as_uri(), wait_until="networkidle")
            return page

        opened("site/index.html", 760, LIGHT, width=1600).screenshot(path=folder / "site.png")
        report = opened("report.html", 1110, LIGHT)
        report.screenshot(path=folder / "report-light.png")
        top = report.locator("h3").first.bounding_box()
        bottom = report.locator("figure").first.bounding_box()
        clip = {"x": 24, "y": top["y"] - 10, "width": 1352, "height": bottom["y"] + bottom["height"] - top["y"] + 10}
        report.screenshot(path=folder / "leaderboard-light.png", clip=clip, full_page=True)
        dark = opened("report.html", 1110, DARK)
        dark.get_by_role("heading", name="Classes", exact=True).evaluate("e => e.scrollIntoView()")
        dark.screenshot(path=folder / "report-dark.png")
        browser.close()


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "images").absolute()
    with tempfile.TemporaryDirectory(prefix="zslbench-") as made:
        make_pages(Path(made))
        take_pictures(Path(made), target)
