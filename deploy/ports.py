"""Ports must be free before anything starts: half a stack is worse than none."""

import socket

import psutil

from deploy.errors import StackError
from deploy.home import LOOPBACK, Home


def check_ports(home: Home) -> None:
    """Refuse to start on a port that is taken or used twice, naming the port, its holder and the variable to set."""
    chosen = home.ports.model_dump()
    if not home.replicas:
        # The front of the containers may hold it already: those that serve outlive the stack.
        del chosen["serving"]
    problems = [
        f"port {port} for {part} is taken{_name_holder(port)}; set WINDHOVER_{part.upper()}_PORT to a free one"
        for part, port in chosen.items()
        if not _is_free(port)
    ]
    if len(set(chosen.values())) < len(chosen):
        listing = ", ".join(f"{part} {port}" for part, port in chosen.items())
        problems.append(f"two parts share a port ({listing}); give each its own with WINDHOVER_<PART>_PORT")
    if problems:
        raise StackError("; ".join(problems))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As every server here does: connections that are still being closed do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _name_holder(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr[1:2] == (port,):
            try:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                return f" by pid {connection.pid}"
    return ""
