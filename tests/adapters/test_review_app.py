from datalab.adapters.review_app import review_path, review_url


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
