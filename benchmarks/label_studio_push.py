"""A large push into a real Label Studio: ours in chunks against one import call of the vendor's SDK.

Starts a server of its own in a temporary folder, which takes a minute before anything is measured. `longest_request_s`
and `peak_mb` (the whole client process, proposals included) are of our push; both sides send the same masks.
"""

import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from label_studio_sdk import LabelStudio

from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.project import ensure_project
from datalab.adapters.label_studio.push import PushedRound, push_batch
from datalab.adapters.label_studio.results import region_to_result
from datalab.config import Guidelines, LabelClass
from datalab.masks import mask_to_rle
from datalab.services import label_studio
from datalab.services.ports import free_ports
from datalab.services.stack import down, up
from datalab.settings import Settings
from datalab.tables import BATCH, PROPOSALS
from measure import parser_of, print_result, seconds

ROOT = Path(__file__).parents[1]
GUIDELINES = Guidelines((LabelClass(1, "object", "#e69f00"),), (), "v", "o")
MOST_SECONDS, MOST_MB = 10.0, 500.0
SAMPLED = 50
"""Tasks whose masks are compared."""


class Timed(Client):
    """Notes how long its longest request took."""

    longest = 0.0

    def _once(self, method: str, path: str, **options: Any) -> Any:
        started = time.perf_counter()
        answer = super()._once(method, path, **options)
        Timed.longest = max(Timed.longest, time.perf_counter() - started)
        return answer


def tables(count: int, masks: int, side: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """BATCH and PROPOSALS: discs at random places, the same on every image."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side]
    discs = [mask_to_rle(np.hypot(y - rng.uniform(0, side), x - rng.uniform(0, side)) < side / 6) for _ in range(masks)]
    images = [f"{number:016x}" for number in range(count)]
    batch = pd.DataFrame(
        [(one, "batch", 1, rank, "cold_start") for rank, one in enumerate(images)], columns=list(BATCH)
    )
    rows = [
        (one, f"{one}-{place}", "object", rle, side, side, 0.9, 0.95, "sam")
        for one in images
        for place, rle in enumerate(discs)
    ]
    return batch, pd.DataFrame(rows, columns=list(PROPOSALS))


def sdk_import(sdk: LabelStudio, project_id: int, batch: pd.DataFrame, proposals: pd.DataFrame) -> None:
    """All tasks in one call."""
    groups = dict(iter(proposals.groupby("image_id")))
    tasks = [
        {
            "data": {"image": f"/{one}.png", "image_id": one, "round": "0001", "note": ""},
            "predictions": [
                {
                    "model_version": "proposals",
                    "score": 0.9,
                    "result": [
                        region_to_result(row["region_id"], row["label"], row["rle"], row["height"], row["width"])
                        for row in groups[one].to_dict("records")
                    ],
                }
            ],
        }
        for one in batch["image_id"]
    ]
    sdk.projects.import_tasks(project_id, request=tasks)


def masks_at(client: Client, project_id: int) -> tuple[int, dict[str, Any]]:
    """How many tasks the server has, and of about SAMPLED of them the classes and codes of their masks, by image."""
    tasks = client.tasks(project_id, "id,data")
    chosen = sorted(tasks, key=lambda task: str(task["data"]["image_id"]))[:: max(1, len(tasks) // SAMPLED)]
    found = {
        task["data"]["image_id"]: [
            (result["value"]["brushlabels"], result["value"]["rle"])
            for prediction in client.get(f"/api/tasks/{task['id']}")["predictions"]
            for result in prediction["result"]
        ]
        for task in chosen
    }
    return len(tasks), found


def measure(settings: Settings, count: int, masks: int, side: int) -> None:
    """Push once each way."""
    batch, proposals = tables(count, masks, side)
    plain = connect(settings.label_studio_url, settings.label_studio_token)
    client = Timed(plain.url, plain.session)
    ours, theirs = (ensure_project(client, name, GUIDELINES, overlap=1) for name in ("ours", "sdk"))
    urls = {one: f"/{one}.png" for one in batch["image_id"]}
    target = PushedRound(ours, "0001", GUIDELINES)
    took = seconds(lambda: push_batch(client, target, batch, proposals, urls, lambda share, text: None))
    longest = Timed.longest
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sdk = LabelStudio(base_url=settings.label_studio_url, api_key=settings.label_studio_token, timeout=3600)
    peer = seconds(lambda: sdk_import(sdk, theirs, batch, proposals))
    (here, sent), (there, wanted) = masks_at(client, ours), masks_at(client, theirs)
    same = here == there == count and sent == wanted and {len(found) for found in sent.values()} == {masks}
    gate = same and longest < MOST_SECONDS and peak < MOST_MB
    sizes = {
        "tasks": count, "masks": masks, "side": side, "seconds": round(took, 1), "sdk_seconds": round(peer, 1),
        "longest_request_s": round(longest, 2), "peak_mb": round(peak),
    }  # fmt: skip
    client.session.close()
    print_result(
        "label_studio_push",
        peer / took,
        f"label-studio-sdk {version('label-studio-sdk')} import_tasks",
        sizes,
        1,
        gate,
    )


def main() -> None:
    """A server, then both pushes."""
    parser = parser_of(__doc__)
    for name, default, what in (("tasks", 1000, "in the round"), ("masks", 10, "a task"), ("side", 64, "of an image")):
        parser.add_argument(name, nargs="?", type=int, default=default, help=f"{what} (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".venv-label-studio").symlink_to(ROOT / ".venv-label-studio")
        try:
            up(folder, free_ports(), (label_studio.NAME,), lambda service, doing: None)
            measure(Settings.load(folder / ".env"), given.tasks, given.masks, given.side)
        finally:
            down(folder, lambda service, doing: None)


if __name__ == "__main__":
    main()
