import numpy as np
import pytest

from datalab.quality.risk import PARTS, audit_sample, mix, risk_of

EVEN = dict.fromkeys(PARTS, 1.0)


def test_risk_is_the_mean_of_what_is_known() -> None:
    parts = {"agreement": 0.5, "skill": None, "model": 0.1, "label_error": None}
    assert risk_of(parts, EVEN) == pytest.approx(0.3)
    assert risk_of(parts, {**EVEN, "agreement": 3.0}) == pytest.approx(0.4)
    assert risk_of(dict.fromkeys(PARTS), EVEN) is None
    assert risk_of(parts, dict.fromkeys(PARTS, 0.0)) is None


def test_mixing_keeps_the_order_and_loses_nobody() -> None:
    ranked, others = [f"r{place}" for place in range(30)], [f"o{place}" for place in range(10)]
    order = mix(ranked, others, np.random.default_rng(3))
    assert [name for name in order if name[0] == "r"] == ranked
    assert [name for name in order if name[0] == "o"] == others
    assert order[:10] != ranked[:10]
    assert mix([], [], np.random.default_rng(3)) == []


def test_the_sample_is_random_and_stays_when_images_come() -> None:
    names = [f"i{place}" for place in range(2000)]
    drawn = audit_sample(names, 0.15, 1)
    assert 240 < len(drawn) < 360
    assert audit_sample(names[:1000], 0.15, 1) == [name for name in drawn if name in names[:1000]]
    assert audit_sample(names, 0.15, 2) != drawn
