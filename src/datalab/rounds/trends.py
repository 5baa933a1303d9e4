"""How slices fare from round to round: gathered from the reports of the rounds, drawn, and put on the round's page."""

from datalab.adapters.files import read_json
from datalab.adapters.report_page import png_uri
from datalab.adapters.trend_plot import plot_trends
from datalab.learning.slice_trends import trends, worth_showing
from datalab.rounds.state import round_numbers
from datalab.workspace import Workspace

PICTURE = "slice-trends.png"
MOST_SLICES = 12


def write_trends(workspace: Workspace) -> None:
    """Write reports/slice-trends.png, over all rounds that have a report; the newest one says which slices are named.

    Reports of rounds before there were slices are left out; with too few test images for any slice there is no picture.
    """
    paths = [workspace.reports / f"round-{number:04d}.json" for number in round_numbers(workspace)]
    reports = [read_json(path) for path in paths if path.exists()]
    named = reports[-1].get("named_slices", []) if reports else []
    table = trends({report["round"]: report["slices"] for report in reports if "slices" in report}, named)
    if shown := worth_showing(table, named, MOST_SLICES):
        plot_trends(workspace.reports / PICTURE, table, shown)


def trend_picture(workspace: Workspace) -> str:
    """The picture as a data URI, for the page; "" before there is one."""
    path = workspace.reports / PICTURE
    return png_uri(path.read_bytes()) if path.exists() else ""
