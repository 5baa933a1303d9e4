import socket
import threading
from dataclasses import astuple, fields

import pytest

from datalab.errors import ServiceError
from datalab.services.ports import Ports, free_ports, holder_of, is_free, is_free_soon, port_of


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://127.0.0.1:8091", 8091), ("mongodb://127.0.0.1:27117", 27117), ("http://127.0.0.1:1/api", 1)],
)
def test_the_port_of_a_local_address(url: str, port: int) -> None:
    assert port_of(url) == port


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "http://0.0.0.0:8091", "http://example.org:80", "http://127.0.0.1:x", "nonsense", ""]
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(ServiceError, match="no address of a local service"):
        port_of(url)


@pytest.mark.parametrize("interface", ["127.0.0.1", "0.0.0.0"])
def test_a_port_somebody_listens_on_is_not_free(interface: str) -> None:
    with socket.socket() as server:
        server.bind((interface, 0))
        server.listen()
        port = server.getsockname()[1]
        assert not is_free(port)
        assert "pid" in holder_of(port)
    assert is_free(port)
    assert holder_of(port) == "another program"


def test_a_port_that_is_given_up_a_moment_later_is_free_soon() -> None:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    port = server.getsockname()[1]
    assert not is_free_soon(port, seconds=0.1)
    leaving = threading.Timer(0.3, server.close)
    leaving.start()
    assert is_free_soon(port, seconds=30)
    leaving.join()


def test_free_ports_differ_and_are_free() -> None:
    ports = astuple(free_ports())
    assert len(set(ports)) == len(fields(Ports))
    assert all(is_free(port) for port in ports)
