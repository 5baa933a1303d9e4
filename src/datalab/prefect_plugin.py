"""Lets Prefect find a deployment by one name: `label-round` stands for `label-round/label-round`.

Prefect's command line wants FLOW/DEPLOYMENT; where both have the same name, once is enough. Prefect loads this plugin
(entry point group `prefect.plugins`) where `[tool.prefect.plugins] enabled` is set in the current pyproject.toml. It
replaces a method of a private module, so prefect is pinned and tests/services/test_deployment.py runs the command.
"""

from typing import TYPE_CHECKING, Any

from prefect.plugins import register_hook

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse


class ShortDeploymentNames:
    """The plugin as Prefect wants it: an object with a marked hook."""

    @register_hook
    def setup_environment(self, *, ctx: Any) -> None:
        """Called by Prefect before a command runs; `ctx` holds its version and server address, which are not needed."""
        # imported late: every prefect command loads this module
        from prefect.client.orchestration._deployments.client import DeploymentAsyncClient  # noqa: PLC0415

        by_full_name = DeploymentAsyncClient.read_deployment_by_name

        async def by_name(client: DeploymentAsyncClient, name: str) -> "DeploymentResponse":
            return await by_full_name(client, full_name(name))

        DeploymentAsyncClient.read_deployment_by_name = by_name  # type: ignore[assignment, method-assign]


def full_name(name: str) -> str:
    """FLOW/DEPLOYMENT for a name that may have left out one of the two."""
    return name if "/" in name else f"{name}/{name}"


plugin = ShortDeploymentNames()
