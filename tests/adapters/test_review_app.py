from types import SimpleNamespace

from datalab.adapters.review_app import annotator_kind, known_annotators, review_path, review_url


def test_where_the_app_shows_a_dataset() -> None:
    assert (
        review_url("http://127.0.0.1:5151/", "camvid-train")
        == "http://127.0.0.1:5151/datasets/camvid-train?workspace=review"
    )
    assert review_path("my photos") == "/datasets/my%20photos?workspace=review"


def test_where_the_app_shows_a_saved_view() -> None:
    assert (
        review_url("http://h:1", "main", "worst first") == "http://h:1/datasets/main?workspace=review&view=worst-first"
    )


class Dataset:
    """With a field of ben's, and one that somebody added."""

    def get_field_schema(self, flat: bool) -> dict[str, SimpleNamespace]:
        assert flat
        described = SimpleNamespace(description=annotator_kind("ben@one.org").description)
        return {"by_ben": described, "by_ben.digest": described, "by_weather": SimpleNamespace(description=None)}


def test_whose_the_fields_of_a_dataset_are() -> None:
    assert known_annotators(Dataset()) == {"ben@one.org": "by_ben"}
