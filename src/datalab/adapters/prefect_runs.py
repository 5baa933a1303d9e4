"""Start runs of a deployment over the Prefect server's HTTP interface."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from datalab.errors import ServiceError

TIMEOUT_S = 10.0
BUSY = HTTPAdapter(
    max_retries=Retry(
        4, connect=0, read=0, backoff_factor=0.5, status_forcelist=[503], allowed_methods=None, raise_on_status=False
    )
)
"""The server says 503, and has done nothing, while somebody else writes to its database."""
WAITING = ["SCHEDULED", "PENDING"]
"""Of one that has begun the process may be gone, and nothing tells; a second one finds the first at work and ends."""


def start_run(api_url: str, deployment: str, parameters: dict[str, Any]) -> bool:
    """Start `deployment` ("FLOW/NAME") with these parameters; False where one that waits has just the same ones.

    ServiceError where the server does not answer or does not know the deployment.
    """
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", BUSY)
        found = _call(session, "GET", f"{api_url}/deployments/name/{deployment}", None)
        wanted = {**found["parameters"], **parameters}
        query = {"deployments": {"id": {"any_": [found["id"]]}}, "flow_runs": {"state": {"type": {"any_": WAITING}}}}
        if any(run["parameters"] == wanted for run in _call(session, "POST", f"{api_url}/flow_runs/filter", query)):
            return False
        _call(session, "POST", f"{api_url}/deployments/{found['id']}/create_flow_run", {"parameters": parameters})
        return True


def _call(session: requests.Session, method: str, url: str, content: Any) -> Any:
    try:
        answer = session.request(method, url, json=content, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()
    except requests.HTTPError as exc:
        raise ServiceError(f"Prefect answered {exc.response.status_code} to {method} {url}; run `make up`") from exc
    except requests.RequestException as exc:
        raise ServiceError(f"Prefect does not answer at {url}; is it running? start it with `make up`") from exc
