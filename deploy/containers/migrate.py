"""Bring the three databases to this version's shape; on databases that are there already, nothing changes."""

import subprocess

from deploy.containers.home import open_container_home
from include.ledger import Ledger


def main() -> None:
    """Migrate; the first failure ends it, and with it the start of all that depends on it."""
    home = open_container_home()
    Ledger(home.database_url("windhover")).migrate()
    subprocess.run(["mlflow", "db", "upgrade", home.database_url("mlflow")], check=True)
    subprocess.run(["airflow", "db", "migrate"], check=True)


if __name__ == "__main__":
    main()
