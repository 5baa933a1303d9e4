"""The ports of the services: all on 127.0.0.1, never on another interface."""

import socket
import time
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

import psutil

from datalab.errors import ServiceError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """Which port each server listens on; the values given here are those of a first `make up`."""

    label_studio: int = 8091
    prefect: int = 4299
    mongo: int = 27117
    fiftyone: int = 5161
    click: int = 8093
    receiver: int = 8095


def port_of(url: str) -> int:
    """The port in `url`; ServiceError where it has none, or the host is not this machine's loopback."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if port is None or parts.hostname != LOOPBACK:
        raise ServiceError(f"{url!r} in .env is no address of a local service; write it like http://{LOOPBACK}:8091")
    return port


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # a port that a stopped server has just given up is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_free_soon(port: int, seconds: float = 5.0) -> bool:
    """As `is_free`, with patience: a server that was just stopped may hold its port a moment longer."""
    deadline = time.monotonic() + seconds
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def holder_of(port: int) -> str:
    """Who listens on `port`, as far as this user may see."""
    try:
        listening = [item for item in psutil.net_connections(kind="tcp") if item.status == psutil.CONN_LISTEN]
        pids = [item.pid for item in listening if item.laddr and item.laddr.port == port and item.pid]
        return f"{psutil.Process(pids[0]).name()} (pid {pids[0]})" if pids else "another program"
    except psutil.Error:
        return "another program"


def free_ports() -> Ports:
    """Ports that are free now, for servers that live as long as a test."""
    probes = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in fields(Ports)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return Ports(*(int(probe.getsockname()[1]) for probe in probes))
    finally:
        for probe in probes:
            probe.close()
