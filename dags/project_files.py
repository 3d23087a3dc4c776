"""No DAG: an import error of this file names every project file that is broken, while all other projects keep running.

(Airflow looks into files that speak of a DAG; this line is here for it.)
"""

from include.errors import ProjectFileError
from include.project import load_project
from include.settings import load_settings


def require_valid_projects() -> None:
    """Raise one error that lists what is wrong with which project file."""
    problems = []
    for path in sorted(load_settings().projects.glob("*.yaml")):
        try:
            load_project(path)
        except ProjectFileError as error:
            problems.append(str(error))
    if problems:
        raise ProjectFileError("\n".join(problems))


require_valid_projects()
