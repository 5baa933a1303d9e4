import os
from pathlib import Path

import pytest

from datalab.errors import InputError, ServiceError
from datalab.settings import KEYS, Settings, read_env

ENV = """\
# written by hand
LABEL_STUDIO_URL=http://127.0.0.1:8091
LABEL_STUDIO_TOKEN=0123456789abcdef0123456789abcdef01234567
LABEL_STUDIO_USERNAME=admin@datalab.local
LABEL_STUDIO_PASSWORD='secret ${HOME} word'
ANNOTATOR_PASSWORD="other word"
DATALAB_MEDIA=/srv/media
CLICK_URL=http://127.0.0.1:8093
CLICK_PASSWORD='third word'
RECEIVER_URL=http://127.0.0.1:8094
RECEIVER_SECRET='fourth word'
PREFECT_API_URL=http://127.0.0.1:4299/api
FIFTYONE_DATABASE_URI=mongodb://127.0.0.1:27117
FIFTYONE_URL=http://127.0.0.1:5161
EXTRA=1
"""


def env_file(folder: Path, content: str) -> Path:
    path = folder / ".env"
    path.write_text(content)
    return path


def test_reads_every_key_and_leaves_the_environment_alone(tmp_path: Path) -> None:
    before = dict(os.environ)
    settings = Settings.load(env_file(tmp_path, ENV))
    assert settings.label_studio_url == "http://127.0.0.1:8091"
    assert settings.datalab_media == Path("/srv/media")
    assert settings.label_studio_password == "secret ${HOME} word"
    assert settings.annotator_password == "other word"
    assert dict(os.environ) == before


def test_secrets_stay_out_of_its_text(tmp_path: Path) -> None:
    text = repr(Settings.load(env_file(tmp_path, ENV)))
    assert "word" not in text
    assert "0123456789abcdef" not in text
    assert "admin@datalab.local" in text


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"\.env does not exist.*make up"):
        Settings.load(tmp_path / ".env")


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_or_empty_key_is_named(tmp_path: Path, key: str) -> None:
    without = "".join(line for line in ENV.splitlines(keepends=True) if not line.startswith(f"{key}="))
    for content in (without, f"{without}{key}=\n"):
        with pytest.raises(ServiceError, match=rf"\.env has no {key};.*make up") as caught:
            Settings.load(env_file(tmp_path, content))
        assert "\n" not in str(caught.value)


def test_read_env_of_nothing_is_empty(tmp_path: Path) -> None:
    assert read_env(tmp_path / ".env") == {}


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A='\xff'\n")
    with pytest.raises(InputError, match=r"\.env is no UTF-8 text \(byte 3\); save it as that"):
        Settings.load(tmp_path / ".env")
