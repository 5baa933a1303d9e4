"""How the click-to-mask server is started."""

from pathlib import Path

import pytest
import requests

from datalab.errors import ServiceError
from datalab.services import click_to_mask
from datalab.services.environment import ensure_env
from datalab.services.ports import free_ports
from datalab.services.processes import Service
from datalab.services.stack import down, status, up
from datalab.settings import Settings

PARAMS = "other: 1\nsam: {checkpoint: small}\nclick: {threads: 1}\ningest: {max_pixels: 60_000_000}\n"


def service(repository: Path, params: str = PARAMS) -> Service:
    (repository / "params.yaml").write_text(params)
    settings = ensure_env(repository / ".env", repository / "state")
    return click_to_mask.click_to_mask(repository, repository / "state", settings)


def test_the_password_is_not_on_the_command_line(tmp_path: Path) -> None:
    made = service(tmp_path)
    settings = Settings.load(tmp_path / ".env")
    assert settings.click_password in made.environment.values()
    assert settings.click_password not in " ".join(made.command)


def test_another_checkpoint_is_another_server_and_other_sections_do_not_matter(tmp_path: Path) -> None:
    before = service(tmp_path).digest
    assert service(tmp_path, PARAMS.replace("other: 1", "other: 2")).digest == before
    assert service(tmp_path, PARAMS.replace("small", "sam_vit_b")).digest != before
    for broken in ("", "- 1", "a: [", "click:"):
        assert service(tmp_path, broken).digest != before


@pytest.mark.services
@pytest.mark.slow
def test_it_starts_answers_and_tells_what_is_wrong_with_its_parameters(tmp_path: Path) -> None:
    program = tmp_path / ".venv-label-studio" / "bin" / "label-studio"
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "params.yaml").write_text(PARAMS)
    try:
        up(tmp_path, free_ports(), (click_to_mask.NAME,))
        assert {item.name for item in status(tmp_path) if item.healthy} == {click_to_mask.NAME}
        settings = Settings.load(tmp_path / ".env")
        assert requests.get(f"{settings.click_url}/versions", timeout=30).status_code == 401
        known = requests.get(
            f"{settings.click_url}/versions", auth=("label-studio", settings.click_password), timeout=30
        )
        assert known.json()["versions"][0].startswith("sam-small-")
        (tmp_path / "params.yaml").write_text(PARAMS.replace("threads: 1", "threads: 1, thread: 2"))
        with pytest.raises(ServiceError, match=r"click-to-mask ended while starting: error: .*thread") as caught:
            up(tmp_path, services=(click_to_mask.NAME,))
        assert "\n" not in str(caught.value)
    finally:
        down(tmp_path)
