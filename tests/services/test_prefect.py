"""The work pool, at a server that says what it is told to."""

from dataclasses import replace
from pathlib import Path

import pytest

from datalab.errors import ServiceError
from datalab.services import prefect
from datalab.services.environment import ensure_env
from tests.adapters.label_studio.scripted_server import Answer, serving


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Grows by every call of the `prefect` command."""
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr(prefect, "_prefect", lambda arguments, *_, **__: found.append(arguments))
    return found


def register(folder: Path, *answers: Answer) -> int:
    """With no deployment to register; returns how often the server was asked."""
    with serving(*answers) as server:
        settings = replace(ensure_env(folder / ".env", folder), prefect_api_url=f"{server.url}/api")
        prefect.register(folder, folder, settings)
    return len(server.asked)


def test_the_pool_is_made_where_it_is_missing_alone(tmp_path: Path, commands: list[tuple[str, ...]]) -> None:
    assert register(tmp_path, (200, {"name": "datalab"})) == 1
    assert commands == []
    assert register(tmp_path, (404, {"detail": "not found"})) == 1
    assert commands == [("work-pool", "create", "datalab", "--type", "process")]


@pytest.mark.parametrize("fault", [(503, {}), (0, None)], ids=["busy", "no answer"])
def test_a_busy_server_is_asked_again(tmp_path: Path, commands: list[tuple[str, ...]], fault: Answer) -> None:
    assert register(tmp_path, fault, (200, {"name": "datalab"})) == 2
    assert commands == []


def test_another_fault_is_told_and_nothing_is_made(tmp_path: Path, commands: list[tuple[str, ...]]) -> None:
    with pytest.raises(ServiceError, match="Prefect answered 500 to GET http"):
        register(tmp_path, (500, {}))
    assert commands == []


def test_the_worker_looks_for_weights_where_the_caller_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ensure_env(tmp_path / ".env", tmp_path)
    monkeypatch.delenv("DATALAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/large/cache")
    moved = prefect.prefect_worker(tmp_path, tmp_path, settings)
    assert moved.environment["DATALAB_CACHE"] == "/large/cache/datalab"
    assert moved.environment["XDG_CACHE_HOME"] == "/large/cache"
    monkeypatch.delenv("XDG_CACHE_HOME")
    usual = prefect.prefect_worker(tmp_path, tmp_path, settings)
    assert "XDG_CACHE_HOME" not in usual.environment
    assert usual.digest != moved.digest
