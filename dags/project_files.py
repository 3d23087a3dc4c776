"""No DAG: an import error of this file names every project file that is broken, while all other projects keep running.

(Airflow looks into files that speak of a DAG; this line is here for it.)
"""

from include.errors import ProjectFileError
from include.project import load_projects
from include.settings import load_settings


def require_valid_projects() -> None:
    """Raise one error that lists what is wrong with which project file."""
    if problems := load_projects(load_settings().projects)[1]:
        raise ProjectFileError("\n".join(map(str, problems)))


require_valid_projects()
