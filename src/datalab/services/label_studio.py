"""Label Studio: where people label. It has an environment of its own, its pins clash with Prefect's."""

from functools import partial
from pathlib import Path

from datalab.errors import ServiceError
from datalab.services.ports import port_of
from datalab.services.processes import Service, answers
from datalab.settings import Settings

NAME = "label-studio"
FIRST_START_SECONDS = 240.0
"""The first start makes the database: 37 s on two idle cores."""
INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ")
"""Label Studio reads two hundred names without its prefix, SECRET_KEY and STORAGE_TYPE among them, which the caller's
shell may have for other programs."""


def label_studio(repository: Path, state: Path, settings: Settings) -> Service:
    """The server on loopback, with its database in <state>/label-studio and images from `settings.datalab_media`."""
    folder = state / "label-studio"
    url = settings.label_studio_url
    return Service(
        name=NAME,
        command=(
            *(str(program(repository)), "start", "--no-browser", "--internal-host", "127.0.0.1"),
            *("--port", str(port_of(url)), "--data-dir", str(folder)),
        ),
        environment=_environment(state, settings),
        folder=folder,
        address=url,
        port=port_of(url),
        setting="LABEL_STUDIO_URL",
        ready=partial(answers, f"{url}/health"),
        start_seconds=FIRST_START_SECONDS,
        inherits=INHERITED,
    )


def program(repository: Path) -> Path:
    """The installed `label-studio`; ServiceError where it is missing."""
    path = repository / ".venv-label-studio" / "bin" / "label-studio"
    if not path.is_file():
        raise ServiceError(f"{path} is missing; go to the datalab repository and run `make setup`")
    return path


def _environment(state: Path, settings: Settings) -> dict[str, str]:
    return {
        "HOME": str(state / "home"),
        "LABEL_STUDIO_HOST": settings.label_studio_url,
        # the administrator is made by the first start; secrets on the command line would show in `ps`
        "LABEL_STUDIO_USERNAME": settings.label_studio_username,
        "LABEL_STUDIO_PASSWORD": settings.label_studio_password,
        "LABEL_STUDIO_USER_TOKEN": settings.label_studio_token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(settings.datalab_media),
        # webhooks to programs on this machine are wanted, and click-to-mask is one
        "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
        "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
        # seconds; click-to-mask shares its cores with trainings, and Label Studio's own 1 and 3 are soon over
        "LABEL_STUDIO_ML_TIMEOUT_HEALTH": "5",
        "LABEL_STUDIO_ML_TIMEOUT_SETUP": "10",
        # until its settings are read, Label Studio logs everything
        "LOG_LEVEL": "WARNING",
        # nothing leaves this machine
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
    }
