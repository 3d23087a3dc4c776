"""The page that lists every dataset."""

from typing import TYPE_CHECKING

from windhover.ui.templates import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.errors import ProjectFileError
    from include.ledger import Ledger
    from include.project import Project


def render_catalogue(projects: "Sequence[Project]", problems: "Sequence[ProjectFileError]", ledger: "Ledger") -> str:
    """Render the catalogue of all projects as HTML.

    :param problems: What is wrong with the project files that are not valid.
    """
    from include.data.catalogue import read_catalogue

    return render("catalogue.html", entries=read_catalogue(projects, ledger), problems=problems)
