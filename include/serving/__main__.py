"""Run the serving process: `python -m include.serving --port N`."""

import argparse
import logging

import uvicorn

from include.settings import load_settings

# A request in flight when the process is told to stop gets this long.
GRACE_SECONDS = 10


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m include.serving", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port to listen on; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; in a container 0.0.0.0")
    arguments = parser.parse_args()
    if not load_settings().ledger_uri:
        parser.error("WINDHOVER_LEDGER_URI is not set; it names the PostgreSQL database of the ledger")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    uvicorn.run(
        "include.serving.app:create_app",
        factory=True,
        host=arguments.host,
        port=arguments.port,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
