"""Who may look at a project's page, who may act on it, and whether a form was really sent from it."""

import hashlib
import hmac
import time
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.configuration import conf

from include.errors import ProjectFileError
from include.project import Project, load_projects
from include.settings import load_settings

HOURS = 12


def may_look(user: Any, project: str) -> bool:
    """Whether Airflow's roles let a user see the project's DAGs."""
    return get_auth_manager().is_authorized_dag(method="GET", details=_name_dag(project), user=user)


def list_visible_projects(user: Any) -> tuple[list[Project], list[ProjectFileError]]:
    """Read the projects whose DAGs the user may see, and what is wrong with project files."""
    projects, problems = load_projects(load_settings().projects)
    return [one for one in projects if may_look(user, one.name)], problems


def may_act(user: Any, project: str) -> bool:
    """Whether Airflow's roles let a user start runs of the project's DAGs."""
    runs = DagAccessEntity.RUN
    return get_auth_manager().is_authorized_dag(
        method="POST", access_entity=runs, details=_name_dag(project), user=user
    )


def sign_form(user: Any) -> str:
    """Return what a form must bring back to be the user's own; another site cannot know it.

    It is the same for an hour, so that a page that is drawn anew does not differ by it.
    """
    expires = (int(time.time()) // 3600 + HOURS) * 3600
    return f"{expires}.{_sign(user, expires)}"


def is_own_form(token: str, user: Any) -> bool:
    """Whether a form was drawn for this user, and lately."""
    expires, _, signature = token.partition(".")
    if not (expires.isdecimal() and len(expires) < HOURS) or int(expires) < time.time():
        return False
    return hmac.compare_digest(signature.encode(), _sign(user, int(expires)).encode())


def _name_dag(project: str) -> DagDetails:
    return DagDetails(id=f"{project}.monitor_model")


def _sign(user: Any, expires: int) -> str:
    key = conf.get_mandatory_value("api", "secret_key").encode()
    return hmac.new(key, f"windhover form {expires} {user.get_id()}".encode(), hashlib.sha256).hexdigest()
