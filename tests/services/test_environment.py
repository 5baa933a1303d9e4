import os
import re
from pathlib import Path

from datalab.services.environment import ensure_env
from datalab.services.ports import Ports
from datalab.settings import Settings, read_env


def test_the_first_call_makes_a_private_file_with_new_secrets(tmp_path: Path) -> None:
    one = ensure_env(tmp_path / "one.env", tmp_path / "state")
    two = ensure_env(tmp_path / "two.env", tmp_path / "state")
    assert (tmp_path / "one.env").stat().st_mode & 0o777 == 0o600
    assert re.fullmatch("[0-9a-f]{40}", one.label_studio_token)
    assert one.label_studio_url == "http://127.0.0.1:8091"
    assert one.prefect_api_url == "http://127.0.0.1:4299/api"
    assert one.fiftyone_database_uri == "mongodb://127.0.0.1:27117"
    assert one.fiftyone_url == "http://127.0.0.1:5161"
    assert one.click_url == "http://127.0.0.1:8093"
    assert one.receiver_url == "http://127.0.0.1:8095"
    assert one.datalab_media == tmp_path / "state" / "media"
    secrets, others = (
        {
            *(made.label_studio_token, made.label_studio_password, made.annotator_password),
            *(made.click_password, made.receiver_secret),
        }
        for made in (one, two)
    )
    assert len(secrets) == 5
    assert not secrets & others


def test_what_is_returned_is_what_is_read_back(tmp_path: Path) -> None:
    state = tmp_path / "it's a \\ folder"
    assert ensure_env(tmp_path / ".env", state) == Settings.load(tmp_path / ".env")


def test_later_calls_change_nothing(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    first = ensure_env(env_file, tmp_path)
    before = env_file.stat()
    assert ensure_env(env_file, tmp_path) == first
    assert env_file.stat() == before


def test_ports_are_taken_from_the_file_unless_given(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    first = ensure_env(env_file, tmp_path, Ports(1001, 1002, 1003, 1004))
    assert first.label_studio_url == "http://127.0.0.1:1001"
    assert ensure_env(env_file, tmp_path) == first
    moved = ensure_env(env_file, tmp_path, Ports(fiftyone=2004))
    assert moved.fiftyone_url == "http://127.0.0.1:2004"
    assert moved.label_studio_token == first.label_studio_token


def test_a_file_begun_by_hand_is_completed(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("LABEL_STUDIO_URL=http://127.0.0.1:9000\nMINE=1\nANNOTATOR_PASSWORD=\n")
    settings = ensure_env(env_file, tmp_path)
    assert settings.label_studio_url == "http://127.0.0.1:9000"
    assert len(settings.annotator_password) >= 32
    assert read_env(env_file)["MINE"] == "1"


def test_folders_follow_a_moved_checkout(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    ensure_env(env_file, tmp_path / "old")
    assert ensure_env(env_file, tmp_path / "new").datalab_media == tmp_path / "new" / "media"
    assert read_env(env_file)["PREFECT_HOME"] == str(tmp_path / "new" / "prefect")


def test_secrets_that_a_killed_start_left_half_written_are_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "..env.x1.tmp"
    left.write_text("LABEL_STUDIO_PASSWORD='secret'")
    os.utime(left, (0, 0))
    ensure_env(tmp_path / ".env", tmp_path)
    assert not left.exists()
