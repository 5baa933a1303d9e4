"""FiftyOne's server as it is started here."""

from pathlib import Path

import pytest
import requests

from datalab.adapters.files import write_label_map
from datalab.masks import IGNORE_ID
from datalab.settings import Settings
from tests.simulate.people import square

pytestmark = pytest.mark.services


def test_a_browser_asks_whether_a_mask_has_changed(review_app: Settings, tmp_path: Path) -> None:
    mask = tmp_path / "a.png"
    write_label_map(mask, square(0, 0, 4).astype("uint8"))

    def got(**headers: str) -> requests.Response:
        url = f"{review_app.fiftyone_url}/media"
        return requests.get(url, params={"filepath": str(mask)}, headers=headers, timeout=60)

    first = got()
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.content == mask.read_bytes()
    known = first.headers["ETag"]
    same = got(**{"If-None-Match": known})
    assert (same.status_code, same.content, same.headers["Cache-Control"]) == (304, b"", "no-cache")
    write_label_map(mask, square(0, 0, 9).astype("uint8") * IGNORE_ID)
    assert got(**{"If-None-Match": known}).content == mask.read_bytes()


@pytest.mark.parametrize(("origin", "status"), [("{own}", 200), ("http://elsewhere.example", 403), ("null", 403)])
def test_pages_from_elsewhere_give_no_verdicts(review_app: Settings, origin: str, status: int) -> None:
    """As a form does, which no browser asks the server about first."""
    answer = requests.post(
        f"{review_app.fiftyone_url}/operators",
        data="{}",
        headers={"Origin": origin.format(own=review_app.fiftyone_url), "Content-Type": "text/plain"},
        timeout=60,
    )
    assert answer.status_code == status
