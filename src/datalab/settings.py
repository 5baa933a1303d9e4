"""Addresses and secrets of the running services, as `make up` writes them to .env.

A field is the .env key in lower case. Read when asked for, never on import, and never put into os.environ.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path

from dotenv import dotenv_values

from datalab.errors import InputError, ServiceError


@dataclass(frozen=True)
class Settings:
    """What a client of the services needs; the secrets stay out of `repr`, so that no log shows them."""

    label_studio_url: str
    label_studio_token: str = field(repr=False)
    """Legacy token of the administrator, 40 hex digits."""
    label_studio_username: str
    label_studio_password: str = field(repr=False)
    annotator_password: str = field(repr=False)
    """Shared by the accounts of the annotators of this machine."""
    datalab_media: Path
    """Document root of Label Studio; images are linked below it, in one folder per workspace."""
    click_url: str
    """Click-to-mask, for Label Studio's server alone."""
    click_password: str = field(repr=False)
    receiver_url: str
    """The webhook receiver, for Label Studio's server alone."""
    receiver_secret: str = field(repr=False)
    prefect_api_url: str
    fiftyone_database_uri: str
    fiftyone_url: str

    @classmethod
    def load(cls, env_file: Path) -> "Settings":
        """Read `env_file`; ServiceError where it or one of its keys is missing, InputError as `read_env`."""
        if not env_file.is_file():
            raise ServiceError(f"{env_file} does not exist; start the services first: run `make up`")
        return cls.from_values(read_env(env_file), str(env_file))

    @classmethod
    def from_values(cls, values: dict[str, str], where: str) -> "Settings":
        """Settings out of .env keys and values; `where` they came from is for the message of a ServiceError."""
        missing = [key for key in KEYS if not values.get(key)]
        if missing:
            raise ServiceError(f"{where} has no {', '.join(missing)}; to have it completed, run `make up`")
        given = {key.lower(): values[key] for key in KEYS}
        return cls(**{**given, "datalab_media": Path(given["datalab_media"])})  # type: ignore[arg-type]


KEYS = tuple(item.name.upper() for item in fields(Settings))
"""The keys of .env, in the order they are written."""


def read_env(env_file: Path) -> dict[str, str]:
    """Keys and values of `env_file` as written, without `${…}` expansion; empty where there is no such file.

    InputError where it is no text.
    """
    try:
        values = dotenv_values(env_file, interpolate=False)
    except UnicodeDecodeError as exc:
        raise InputError(f"{env_file} is no UTF-8 text (byte {exc.start}); save it as that") from exc
    return {key: value for key, value in values.items() if value is not None}
