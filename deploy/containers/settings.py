"""Apply `airflow_settings.yaml` once the API server answers."""

import sys

from deploy.airflow_settings import apply_airflow_settings
from deploy.containers.home import open_container_home
from deploy.errors import StackError


def main() -> None:
    """Apply the file to the API server of this compose project."""
    try:
        apply_airflow_settings(open_container_home())
    except StackError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
