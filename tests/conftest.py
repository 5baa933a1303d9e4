"""Which process tests what, where there are several; and property tests that a busy machine does not fail."""

from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("untimed", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=20)
settings.load_profile("untimed")


class ServicesTogether(LoadScopeScheduling):  # type: ignore[misc]  # the library has no types
    """The tests that need the servers in one process, since they share one stack, and first; the others anywhere."""

    def _split_scope(self, nodeid: str) -> str:
        return "services" if nodeid.startswith("tests/services/") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """For `--dist loadgroup`; with its own groups xdist 3.8 does not find them under pytest 9.2."""
    return ServicesTogether(config, log) if config.getoption("dist") == "loadgroup" else None
