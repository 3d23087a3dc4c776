"""Deliveries with one folder per class, as torchvision's ImageFolder reads them: the first folder is the label."""

from datetime import datetime

from include.data.sources.facts import Facts, Label, Shot, name_group
from include.data.sources.folders import Folder
from include.project import SourceConfig


def read_facts(source: SourceConfig, folder: Folder, times: dict[str, datetime]) -> Facts:
    """Take each file's label from its first folder, known since the file is; a file outside a folder has none.

    :param times: When each file was observed.
    """
    facts = Facts(tuple(times))
    for name, observed_at in times.items():
        facts.shots[name] = Shot(observed_at, name_group(source, name))
        label, separator, _ = name.partition("/")
        if separator:
            facts.labels[name] = (Label(label, observed_at),)
    return facts
