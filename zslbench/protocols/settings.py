"""The settings in which papers report figures: protocol, split family, datasets, figure and convention, by name.

They are data, in ``settings.toml``. A published figure of the ledger names the setting that it was measured in. So a
measured row of the same setting can be found, and run.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zslbench.errors import NotFoundError, suggest
from zslbench.protocols.protocol import Protocol


@dataclass(frozen=True)
class Setting:
    """One setting of a group.

    Attributes
    ----------
    name, title
        Such as ``truze-v1``, and what it is in a few words.
    group
        The group that it belongs to.
    families
        Split families that make it, the preferred one first; a dataset may lack some.
    datasets
        The datasets that are tested.
    protocol
        One of :data:`zslbench.protocols.protocol.PROTOCOLS`.
    splits
        The splits of the family, as the option ``--splits`` takes them.
    figure
        The figure that papers print: ``top1`` (per video), ``top1_per_class``, ``H`` or ``HM``.
    train
        The dataset of the seen classes, if it is another one.
    own_convention
        The convention, if it is not that of the group.

    Examples
    --------
    >>> get_setting("truze-v1").families
    ('truze-v1',)
    >>> print(get_setting("k400->ucf101/lists").command())
    zslbench run --method METHOD --dataset ucf101 --family 'k400->ucf101/lists' --splits all
    """

    name: str
    title: str
    group: SettingGroup
    families: tuple[str, ...]
    datasets: tuple[str, ...]
    protocol: Protocol = "zsl"
    splits: str = "all"
    figure: str = "top1"
    train: str = ""
    own_convention: str = ""

    @property
    def convention(self) -> str:
        """Per video or per class, the mean over what, and the ± of what."""
        return self.own_convention or self.group.convention

    def command(self, dataset: str = "", family: str = "", method: str = "METHOD") -> str:
        """Return the command that runs a method in this setting, as a shell takes it."""
        options = ["--dataset", dataset or self.datasets[0]]
        if self.protocol != "zsl":
            options += ["--protocol", self.protocol]
        options += ["--family", family or self.families[0], "--splits", self.splits]
        return shlex.join(["zslbench", "run", "--method", method, *options])

    def measured_by(self, dataset: str, protocol: str, family: str) -> bool:
        """Return whether a row of this dataset, protocol and family was measured in this setting."""
        return dataset in self.datasets and protocol == self.protocol and family in self.families


@dataclass(frozen=True)
class SettingGroup:
    """What the settings of a group share.

    Attributes
    ----------
    source
        The works that defined them.
    trained, tested
        What is trained on and what is tested, in words.
    convention
        Per video or per class, the mean over what, and the ± of what.
    pitfalls
        What makes figures of this group differ without any difference in the methods.

    Examples
    --------
    >>> get_setting("truze-v2").group.title
    'TruZe: without classes that Kinetics-400 has'
    """

    name: str
    title: str
    source: str
    trained: str
    tested: str
    convention: str
    pitfalls: tuple[str, ...]


@cache
def all_settings() -> Mapping[str, Setting]:
    """Return name -> setting, in the order of the catalogue."""
    content = tomllib.loads(Path(__file__).with_name("settings.toml").read_text(encoding="utf-8"))
    found = {}
    for record in content["groups"]:
        settings = record.pop("settings")
        group = SettingGroup(**record | {"pitfalls": tuple(record["pitfalls"])})
        for each in settings:
            each |= {name: tuple(each[name]) for name in ("families", "datasets")}
            found[each["name"]] = Setting(group=group, **each)
    return found


def get_setting(name: str) -> Setting:
    """Return the setting of that name.

    Raises
    ------
    NotFoundError
        There is none; the message suggests the nearest names.
    """
    if name not in all_settings():
        raise NotFoundError(f"no setting is called {name!r}.{suggest(name, all_settings())}")
    return all_settings()[name]
