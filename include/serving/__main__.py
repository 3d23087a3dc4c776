"""Run a serving process: `python -m include.serving --port N | --socket PATH`."""

import argparse
import gc
import logging

import uvicorn
from starlette.types import ASGIApp

from include.settings import load_settings

# A request in flight when the process is told to stop gets this long.
GRACE_SECONDS = 10
# Longer than any proxy keeps a connection unused: the side that sends next must not be the one that is hung up on.
IDLE_SECONDS = 90


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m include.serving", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    where.add_argument("--socket", help="Unix socket to listen on; what a killed process left there is replaced")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; in a container 0.0.0.0")
    parser.add_argument("--name", default="serving", help="what this process calls itself in the ledger")
    arguments = parser.parse_args()
    if not load_settings().ledger_uri:
        parser.error("WINDHOVER_LEDGER_URI is not set; it names the PostgreSQL database of the ledger")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    address = f"unix:{arguments.socket}" if arguments.socket else f"http://{arguments.host}:{arguments.port}"
    uvicorn.run(
        _make_app(arguments.name, address, behind_proxy=bool(arguments.socket)),
        uds=arguments.socket,
        host=arguments.host,
        port=arguments.port or 0,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=IDLE_SECONDS,
        backlog=4096,
    )


def _make_app(name: str, address: str, *, behind_proxy: bool) -> ASGIApp:
    # Of what is imported nothing ever becomes garbage: to look for some makes a start longer, and every answer later.
    gc.disable()
    from include.serving.app import create_app
    from include.serving.draining import KeptConnections

    app = create_app(name=name, address=address)
    gc.freeze()
    gc.enable()
    return KeptConnections(app) if behind_proxy else app


if __name__ == "__main__":
    main()
