"""Export cells into a bundle, import a bundle beside one's own cells, and merge results folders."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zslbench.bundles.archive import unpack, write_archive
from zslbench.bundles.card import BundleCard, describe_bundle
from zslbench.cells.cell import SUMS, State
from zslbench.cells.removal import BusyError, claimed
from zslbench.cells.store import CARD_FILE, Record, Store
from zslbench.digests import file_sha256
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.files import check_name, new_directory
from zslbench.proof.verify import verify

_SHOWN = 3  # defects in a message


def export_bundle(store: Store, records: Sequence[Record], final: Path, name: str = "") -> BundleCard:
    """Write cells into a bundle and return its card.

    Parameters
    ----------
    records
        Cells of ``store``; of two with one id, the one that was run here is taken.
    name
        The bundle's name for those who import it; by default the file's.

    Raises
    ------
    ZslbenchError
        The name cannot be a bundle's, or the file cannot be written.
    """
    by_id = {record.cell.id: record for record in sorted(records, key=lambda record: record.origin, reverse=True)}
    chosen = [by_id[cell_id] for cell_id in sorted(by_id)]
    card = describe_bundle(check_name(name or final.stem.lower(), "a bundle"), store, chosen)
    write_archive(final, card, map(store.folder, chosen), option="FILE.zip")
    return card


def import_bundle(store: Store, path: Path, name: str = "", *, replace: bool = False) -> BundleCard:
    """Verify a bundle and store it beside the folder's own cells; nothing is stored if anything disagrees.

    Parameters
    ----------
    name
        The name that marks its rows; by default the bundle's own.
    replace
        Whether to replace an imported bundle of that name.

    Raises
    ------
    ZslbenchError
        The bundle is unsafe, damaged or disagrees with itself, or its name is taken.
    """
    store.imported.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=store.imported) as scratch:
        card = _verified(path, Path(scratch))
        final = store.imported / check_name(name or card.name, "a bundle")
        if final.exists() and not replace:
            raise ZslbenchError(f"a bundle {final.name} is imported already; choose another --name, or add --replace.")
        with new_directory(final, replace=replace) as work:
            for entry in Path(scratch).iterdir():
                shutil.move(entry, work / entry.name)
            (work / CARD_FILE).write_text(card.model_dump_json(indent=1), encoding="utf-8")
    return card


def _verified(path: Path, folder: Path) -> BundleCard:
    """Unpack a bundle into an empty folder, and return its card.

    Raises
    ------
    ZslbenchError
        It is unsafe, damaged, or disagrees with itself.
    """
    card = unpack(path, folder)
    store = Store(folder)
    found = {each.name for each in store.cells.iterdir()} if store.cells.is_dir() else set()
    if found != set(card.cells):
        raise ZslbenchError(f"{path} does not have the cells that its {CARD_FILE} lists; ask for the file again.")
    changed = [each for each, digest in card.cells.items() if _sum_of_sums(store, each) != digest]
    problems = [f"{each}: {SUMS} was changed" for each in changed]
    problems += [f"{defect.where}: {defect.what}" for defect in verify(store).defects]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ZslbenchError(
            f"{path} disagrees with itself, so nothing was imported: {'; '.join(problems[:_SHOWN])}{more}. Ask for "
            f"the file again."
        )
    return card


def _sum_of_sums(store: Store, cell_id: str) -> str:
    with contextlib.suppress(OSError):
        return file_sha256(store.path(cell_id) / SUMS)
    return ""


@contextlib.contextmanager
def results_folder(path: Path) -> Iterator[Path]:
    """Yield a results folder: ``path`` itself, or a temporary one with the bundle in the file ``path``.

    Raises
    ------
    ZslbenchError
        A file is no bundle, or disagrees with itself.
    """
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="zslbench-") as scratch:
        import_bundle(Store(Path(scratch)), path)
        yield Path(scratch)


@dataclass(frozen=True)
class Merged:
    """Numbers of cells of a merge: copied, there already, left out because a better one is there or a run computes it.

    Attributes
    ----------
    bundles
        Folders of bundles that a source has imported. They are not its own cells, so they are left out.

    Examples
    --------
    >>> merge(Store(Path("absent")), [])
    Merged(copied=0, same=0, kept=0, busy=0, bundles=())
    """

    copied: int = 0
    same: int = 0
    kept: int = 0
    busy: int = 0
    bundles: tuple[Path, ...] = ()


def merge(store: Store, sources: Sequence[Path]) -> Merged:
    """Copy the cells and models of results folders and bundles into ``store``, as if they had run there.

    A finished cell is never replaced; a cell without figures is, by a finished one.

    Raises
    ------
    NotFoundError
        A source is neither a folder nor a file.
    ZslbenchError
        A source has cells that cannot be read or disagree; nothing of any source is copied.
    """
    counts = dict.fromkeys(("copied", "same", "kept", "busy"), 0)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(_checked_source(path)) for path in sources]
        for source in opened:
            for record in source.scan_own()[0]:
                try:
                    with claimed(store, record.cell.id):
                        counts[_take(store, source, record)] += 1
                except BusyError:
                    counts["busy"] += 1
        bundles = tuple(bundle.root for source in opened for bundle in source.bundles().values())
    return Merged(**counts, bundles=bundles)


@contextlib.contextmanager
def _checked_source(path: Path) -> Iterator[Store]:
    if not path.exists():
        raise NotFoundError(f"there is no {path}; check the path.")
    with results_folder(path) as folder:
        store = Store(folder)
        if path.is_file():
            (store,) = store.bundles().values()
        elif defects := [d for d in verify(store).defects if d.kind != "orphaned"]:
            raise ZslbenchError(
                f"{path}: {defects[0].where}: {defects[0].what}; nothing was merged. 'zslbench results verify "
                f"--results {path}' lists all; remove these cells or run them again."
            )
        yield store


def _take(store: Store, source: Store, record: Record) -> str:
    """Copy a cell and its model unless the one that is there is as good; return which count it belongs to."""
    cell_id = record.cell.id
    here = store.find(cell_id)
    if isinstance(here, Record) and (here.result.state is State.DONE or record.result.state is not State.DONE):
        same = file_sha256(store.path(cell_id) / SUMS) == file_sha256(source.path(cell_id) / SUMS)
        return "same" if same else "kept"
    for ours, theirs in ((store.path(cell_id), source.path(cell_id)),
                         (store.model_path(cell_id), source.model_path(cell_id))):  # fmt: skip
        if theirs.is_dir():
            with new_directory(ours, replace=True) as work:
                shutil.copytree(theirs, work, dirs_exist_ok=True)
    return "copied"
