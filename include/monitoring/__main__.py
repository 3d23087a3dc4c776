"""Run the watcher: `python -m include.monitoring`."""

import argparse
import logging
import signal
from pathlib import Path
from threading import Event

from include.ledger import Ledger
from include.monitoring.watcher import Watcher
from include.settings import load_settings


def main() -> None:
    """Watch until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m include.monitoring", description=__doc__)
    parser.add_argument("--beat", type=Path, help="file to write after every look")
    arguments = parser.parse_args()
    settings = load_settings()
    if not settings.ledger_uri:
        parser.error("WINDHOVER_LEDGER_URI is not set; it names the PostgreSQL database of the ledger")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s: %(message)s")
    # Each of their lines names an address, which may hold a password.
    for library in ("httpx", "apprise"):
        logging.getLogger(library).setLevel(logging.ERROR)
    stopping = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopping.set())
    Watcher(settings, Ledger(settings.ledger_uri), arguments.beat).watch(stopping)


if __name__ == "__main__":
    main()
