"""What a task with many proposed regions costs an annotator's browser, as brush, bitmask and polygon regions.

Headless Chromium opens the label stream of a real Label Studio, a fresh browser each time. One JSON line per region
type and number of regions:

`interactive_s`: from the request for the page to the end of the last stretch in which the page could not answer (a task
of more than 50 ms) before 1.5 quiet seconds with all regions there; null where that takes longer than `PATIENCE_S`.
`select_s`: the same from a click on a region in the list. `memory_mb`: proportional set size of all the browser's
processes then, less that with no region. `task_kb`: JSON of the proposals. `gate`: on the pages that came to rest,
hiding all regions changed the canvas where the masks are and nowhere else.
"""

import io
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, TimeoutError, sync_playwright
from skimage import data

from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.media import image_url, publish_images
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import MODEL_VERSION, labeling_url
from datalab.adapters.label_studio.results import CONTROLS, mask_to_result
from datalab.masks import BoolMask
from datalab.services import label_studio
from datalab.services.ports import free_ports
from datalab.services.stack import down, up
from datalab.settings import Settings
from datalab.workspace import Workspace
from measure import parser_of

ROOT = Path(__file__).parents[1]
CHROMIUM = Path("/usr/bin/chromium")
PERSON = "browser@datalab.local"
SIDE = 1024
GRID = 15
EMPTY = (600, 880)
"""A place on the page where the mouse touches no region."""
LEAST_IOU = 0.75
"""Of changed and masked pixels; polygons have a line on the outline, half of it outside."""
PATIENCE_S = 150
NOTHING = ("polygon", 0)
TAGS = {"brush": "BrushLabels", "bitmask": "BitmaskLabels", "polygon": "PolygonLabels"}
WATCH = """
window.busyUntil = 0;
new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.busyUntil = Math.max(window.busyUntil, task.startTime + task.duration);
}).observe({type: "longtask", buffered: true});
"""
QUIET = """count => {
  const regions = window.Htx?.annotationStore?.selected?.regionStore?.regions?.length ?? -1;
  const image = window.Htx?.annotationStore?.selected?.objects?.[0]?.currentImageEntity?.imageLoaded;
  if (regions < count || !image) return false;
  window.allThere ??= performance.now();
  const since = Math.max(window.allThere, window.busyUntil);
  return performance.now() - since > 1500 ? since : false;
}"""


@dataclass(frozen=True)
class Visit:
    """What one visit of a task took."""

    interactive_s: float | None
    select_s: float | None
    memory_mb: float
    shown: bool | None


@dataclass(frozen=True)
class Site:
    """A running Label Studio and what its projects share."""

    client: Client
    settings: Settings
    workspace: Workspace

    def task(self, region_type: str, masks: list[BoolMask]) -> tuple[str, int]:
        """A project with one task: the address of its stream, and bytes of the proposals."""
        title = f"{region_type} {len(masks)}"
        body = {
            "title": title,
            "label_config": config(region_type),
            "model_version": MODEL_VERSION,
            "show_collab_predictions": True,
        }
        project_id = int(self.client.post("/api/projects", body)["id"])
        publish_images(self.client, project_id, self.workspace, self.settings.datalab_media, ["photo.png"])
        results = [
            mask_to_result(f"r{number}", "coin", mask, region_type=region_type) for number, mask in enumerate(masks)
        ]
        for result in results:
            del result["origin"]
        prediction = {"model_version": MODEL_VERSION, "result": results}
        task = {"data": {"image": image_url(self.workspace, "photo.png")}, "predictions": [prediction]}
        self.client.post(f"/api/projects/{project_id}/import", [task])
        return labeling_url(self.client, project_id), len(json.dumps(results))


def config(region_type: str) -> str:
    """The image and one tool."""
    tag = TAGS[region_type]
    return (
        f'<View><Image name="image" value="$image" zoom="true" smoothing="false"/>'
        f'<{tag} name="{CONTROLS[region_type]}" toName="image" opacity="0.5">'
        f'<Label value="coin" background="#e69f00"/></{tag}></View>'
    )


def blobs(count: int, rng: np.random.Generator) -> list[BoolMask]:
    """Star-shaped objects of some 60 pixels across, in cells of a grid: the same size whatever their number."""
    cell = SIDE // GRID
    dy, dx = np.mgrid[:cell, :cell] + 0.5 - cell / 2
    angle = np.arctan2(dy, dx)
    masks: list[BoolMask] = []
    for place in rng.permutation(GRID * GRID)[:count]:
        waves = sum(rng.normal(0, 1) * np.sin(k * angle + rng.uniform(0, 6.3)) for k in range(2, 8))
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        top, left = divmod(int(place), GRID)
        mask[top * cell : (top + 1) * cell, left * cell : (left + 1) * cell] = np.hypot(dy, dx) < 0.42 * cell + waves
        masks.append(mask)
    return masks


def visit(browser: Browser, state: Any, url: str, masks: list[BoolMask]) -> Visit:
    """Open the task, select a region, hide all."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, storage_state=state)
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(url, timeout=300_000)
    ready = quiet(page, len(masks))
    memory = used_mb()
    if ready is None or not masks:
        return Visit(ready, None, memory, None)
    clicked = float(page.evaluate("performance.now()")) / 1000
    page.locator(".lsf-outliner-item").first.click(timeout=1000 * PATIENCE_S)
    selected = quiet(page, len(masks))
    return Visit(ready, None if selected is None else max(0.0, selected - clicked), memory, are_shown(page, masks))


def quiet(page: Page, count: int) -> float | None:
    """Seconds from the request for the page to the end of its last long task; None where it does not come to rest."""
    page.wait_for_timeout(100)
    try:
        since = page.wait_for_function(QUIET, arg=count, timeout=1000 * PATIENCE_S, polling=100).json_value()
    except TimeoutError:
        return None
    return float(since) / 1000


def used_mb() -> float:
    """Of all processes of the browser, memory they share counted once."""
    own = psutil.Process().children(recursive=True)
    used = 0
    for process in own:
        if "chrom" in process.name():
            used += process.memory_full_info().pss
    return used / 1e6


def are_shown(page: Page, masks: list[BoolMask]) -> bool:
    """Do the masks' pixels change when all regions are hidden, and no others?"""
    page.keyboard.press("Escape")
    page.mouse.move(*EMPTY)
    page.wait_for_timeout(1500)
    with_masks = canvas_pixels(page)
    page.get_by_role("button", name="Hide all regions").click()
    page.mouse.move(*EMPTY)
    page.wait_for_timeout(1500)
    colored = np.abs(with_masks - canvas_pixels(page)).max(axis=-1) > 8
    height = colored.shape[0]
    expected = cv2.resize(np.any(masks, axis=0).astype(np.uint8), (height, height), interpolation=cv2.INTER_NEAREST)
    inside = np.pad(expected > 0, ((0, 0), (0, max(0, colored.shape[1] - height))))[:, : colored.shape[1]]
    return bool((colored & inside).sum() > LEAST_IOU * (colored | inside).sum())


def canvas_pixels(page: Page) -> npt.NDArray[np.int16]:
    """What the labeling canvas shows, as RGB."""
    shot = page.locator(".konvajs-content").first.screenshot(timeout=120_000)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=np.int16)


@contextmanager
def label_studio_site(folder: Path) -> Iterator[Site]:
    """A Label Studio of its own below `folder`, with one photograph and one annotator."""
    program = folder / ".venv-label-studio"
    if not program.exists():
        program.symlink_to(ROOT / ".venv-label-studio")
    up(folder, free_ports(), (label_studio.NAME,), report=lambda *said: None)
    try:
        settings = Settings.load(folder / ".env")
        workspace = Workspace(folder / "regions")
        workspace.images.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cv2.resize(data.astronaut(), (SIDE, SIDE))).save(workspace.images / "photo.png")
        client = connect(settings.label_studio_url, settings.label_studio_token)
        with client.session:
            ensure_annotator(client, PERSON, settings.annotator_password)
            yield Site(client, settings, workspace)
    finally:
        down(folder)


def launch(playwright: Playwright) -> Browser:
    """A fresh browser."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])


def logged_in(playwright: Playwright, site: Site) -> Any:
    """Cookies of an annotator."""
    browser = launch(playwright)
    page = browser.new_page()
    page.goto(f"{site.client.url}/user/login/")
    page.fill("input[name=email]", PERSON)
    page.fill("input[name=password]", site.settings.annotator_password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/user/login" not in address)
    state = page.context.storage_state()
    browser.close()
    return state


def measure(site: Site, types: list[str], counts: list[int], repeats: int) -> Iterator[dict[str, Any]]:
    """The lines, after all visits: the cases take turns."""
    tasks = {}
    for region_type, count in [NOTHING, *itertools.product(types, counts)]:
        masks = blobs(count, np.random.default_rng(count))
        tasks[region_type, count] = (*site.task(region_type, masks), masks)
    visits: dict[tuple[str, int], list[Visit]] = {case: [] for case in tasks}
    with sync_playwright() as playwright:
        state = logged_in(playwright, site)
        for _, case in itertools.product(range(repeats), tasks):
            url, _, masks = tasks[case]
            browser = launch(playwright)
            visits[case].append(visit(browser, state, url, masks))
            browser.close()
            sys.stderr.write(f"{case} {visits[case][-1]}\n")
    for (region_type, count), seen in visits.items():
        if count:
            nothing = statistics.median(one.memory_mb for one in visits[NOTHING])
            yield {
                "name": "region_types",
                "type": region_type,
                "regions": count,
                "interactive_s": median(one.interactive_s for one in seen),
                "select_s": median(one.select_s for one in seen),
                "memory_mb": round(statistics.median(one.memory_mb for one in seen) - nothing),
                "task_kb": round(tasks[region_type, count][1] / 1000),
                "repeats": repeats,
                "gate": all(one.shown for one in seen if one.shown is not None),
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU; load {os.getloadavg()[1]:.0f}",
            }


def median(seconds: Iterable[float | None]) -> float | None:
    """With a page that did not come to rest counted as slower than any; None where that is the median."""
    middle = statistics.median_high(float("inf") if one is None else one for one in seconds)
    return None if middle == float("inf") else round(middle, 2)


def main() -> None:
    """Measure and print; exit code 1 where a region did not show."""
    parser = parser_of(__doc__)
    parser.add_argument("--types", nargs="+", default=list(TAGS), choices=list(TAGS))
    parser.add_argument("--counts", nargs="+", type=int, default=[10, 50, 200])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the server keeps its files; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, label_studio_site(options.folder or Path(temporary)) as site:
        lines = list(measure(site, options.types, options.counts, options.repeats))
    for line in lines:
        sys.stdout.write(json.dumps(line) + "\n")
    if not all(line["gate"] for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    main()
