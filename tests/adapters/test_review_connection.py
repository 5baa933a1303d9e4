import os
import sys

import pytest

from datalab.adapters.review_connection import fiftyone_environment, opened
from datalab.errors import ServiceError
from datalab.services.ports import free_ports


@pytest.mark.slow
def test_a_database_that_is_down_is_told_in_one_line() -> None:
    known, environment = "fiftyone" in sys.modules, dict(os.environ)
    address = f"127.0.0.1:{free_ports().mongo}"
    with (
        pytest.raises(ServiceError, match=rf"^MongoDB at {address} does not answer .*run `make up`") as caught,
        opened(f"mongodb://me:secret@{address}/?serverSelectionTimeoutMS=200"),
    ):
        pytest.fail("opened")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert ("fiftyone" in sys.modules, dict(os.environ)) == (known, environment)


def test_an_address_that_is_none() -> None:
    with pytest.raises(ServiceError, match="FIFTYONE_DATABASE_URI is no address"), opened("mongodb://127.0.0.1:port"):
        pytest.fail("opened")


@pytest.mark.parametrize(
    ("uri", "impatient"),
    [
        ("mongodb://127.0.0.1:27117", "mongodb://127.0.0.1:27117/?serverSelectionTimeoutMS=5000"),
        ("mongodb://h:1/db?a=b", "mongodb://h:1/db?a=b&serverSelectionTimeoutMS=5000"),
        ("mongodb://h:1/?serverSelectionTimeoutMS=9", "mongodb://h:1/?serverSelectionTimeoutMS=9"),
    ],
)
def test_no_client_waits_for_long(uri: str, impatient: str) -> None:
    assert fiftyone_environment(uri)["FIFTYONE_DATABASE_URI"] == impatient


def test_nothing_is_told_to_others_or_put_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    environment = fiftyone_environment("mongodb://127.0.0.1:27117")
    assert environment["FIFTYONE_DO_NOT_TRACK"] == "true"
    assert not [value for value in environment.values() if "/home/somebody" in value]
