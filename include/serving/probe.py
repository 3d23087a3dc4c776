"""Ask the serving process on a Unix socket whether it is ready: `python -m include.serving.probe SOCKET`.

A container's health check runs it every few seconds, so it imports nothing of this project.
"""

import http.client
import socket
import sys

SECONDS = 5.0
READY = 200


def find_trouble(path: str) -> str:
    """Return why the process on a socket is not ready, or nothing when it is."""
    connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(SECONDS)
    try:
        connection.sock.connect(path)
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        told = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{path} does not answer: {error}"
    finally:
        connection.close()
    return "" if response.status == READY else f"{response.status} {told}"


if __name__ == "__main__":
    # `sys.exit("")` would count as a failure.
    sys.exit(find_trouble(sys.argv[1]) or 0)
