import numpy as np
import pytest

from datalab.adapters.review_plot import plane


def test_the_plane_shows_the_two_directions_in_which_vectors_differ_most() -> None:
    """Points on a rectangle in 5 dimensions: distances within the plane are those in space."""
    corners = np.array([[0, 0], [4, 0], [4, 1], [0, 1]], dtype=np.float32)
    basis, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 2)))
    places = plane(list("abcd"), (corners @ basis.T).astype(np.float32))
    assert np.linalg.norm(places["a"] - places["b"]) == pytest.approx(4, abs=1e-5)
    assert np.linalg.norm(places["a"] - places["c"]) == pytest.approx(17**0.5, abs=1e-5)
    assert abs(places["a"][0] - places["b"][0]) == pytest.approx(4, abs=1e-5)
