from pathlib import Path

import pytest
import requests

from datalab.services.stack import Addresses, status
from datalab.settings import Settings

pytestmark = pytest.mark.services


def test_the_stack_answers(stack: Addresses, stack_folder: Path) -> None:
    healthy = {item.name for item in status(stack_folder) if item.healthy}
    assert healthy == {"label-studio", "prefect", "mongo"}


def test_the_administrator_can_use_the_token(settings: Settings) -> None:
    answer = requests.get(
        f"{settings.label_studio_url}/api/current-user/whoami",
        headers={"Authorization": f"Token {settings.label_studio_token}"},
        timeout=30,
    )
    assert answer.json()["email"] == settings.label_studio_username
