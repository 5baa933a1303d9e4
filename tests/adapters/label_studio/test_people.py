import pytest
import requests

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.errors import ServiceError
from tests.adapters.label_studio.scripted_server import serving


def test_passwords_go_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving((500, "a proxy")) as proxy, serving((200, "a page")) as server, requests.Session() as session:
        session.trust_env = False
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(ServiceError):
            ensure_annotator(Client(server.url, session), "ann@x.org", "secret")
    assert proxy.asked == []
