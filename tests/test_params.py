"""Every number of params.yaml has a range, and one beyond it is refused by its name."""

from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from datalab.adapters.checkpoints import SamParams
from datalab.adapters.images import IngestParams
from datalab.adapters.label_studio.reconcile import PullParams
from datalab.adapters.sam import ProposalParams
from datalab.config import load_params
from datalab.errors import InputError
from datalab.learning.gate import GateParams
from datalab.learning.splits import SplitParams
from datalab.ranges import Within
from datalab.rounds.batch import BatchParams
from datalab.rounds.living_gold import GoldParams
from datalab.rounds.proof import ProofParams
from datalab.services.click_server import ClickParams
from datalab.simulate.profile import SimulateParams
from datalab.stages import (
    adapt,
    adjudicate,
    agree,
    agree_model,
    compare,
    consensus,
    embed,
    evaluate,
    label_errors,
    leaks,
    proposal_benefit,
    robustness,
    score,
    score_gold,
    select,
    slices,
    train,
)

PARAMS = Path(__file__).parent.parent / "params.yaml"
STAGES = (
    adapt, adjudicate, agree, agree_model, compare, consensus, embed, evaluate, label_errors, leaks, proposal_benefit,
    robustness, score, score_gold, select, slices, train,
)  # fmt: skip
SECTIONS: dict[str, Any] = {
    "sam": SamParams,
    "ingest": IngestParams,
    "gold": GoldParams,
    "batch": BatchParams,
    "proposals": ProposalParams,
    "proposal_gate": GateParams,
    "click": ClickParams,
    "pull": PullParams,
    "proof": ProofParams,
    "simulate": SimulateParams,
    "dataset": SplitParams,
    **{stage.__name__.rpartition(".")[2]: stage.Params for stage in STAGES},
}
NUMBERS = [
    (section, field.name, limit)
    for section, kind in SECTIONS.items()
    for field in fields(kind)
    for limit in get_args(field.type)[1:]
    if isinstance(limit, Within)
]


@pytest.mark.slow
def test_every_section_is_known_and_every_number_has_a_range() -> None:
    content = yaml.safe_load(PARAMS.read_text())
    assert set(content) == {*SECTIONS, "augmentation"}
    for section, kind in SECTIONS.items():
        load_params(PARAMS, section, kind)
        plain = [field.name for field in fields(kind) if field.type in (int, float)]
        assert plain == [], section


@pytest.mark.parametrize(
    ("section", "name", "most"),
    [("train", "imbalance", 4), ("label_errors", "imbalance", 4), ("train", "weight_decay", 1)],
)
def test_what_training_cannot_use_has_an_upper_bound(section: str, name: str, most: float) -> None:
    assert {limit.most for *where, limit in NUMBERS if where == [section, name]} == {most}


@pytest.mark.parametrize(("section", "name", "limit"), NUMBERS, ids=str)
def test_a_number_beyond_its_range_is_refused_by_its_name(
    tmp_path: Path, section: str, name: str, limit: Within
) -> None:
    content = yaml.safe_load(PARAMS.read_text())
    for value in (limit.least - 1, limit.most + 1):
        if value == float("inf"):
            continue
        whole = type(content[section][name]) is int
        content[section][name] = int(value) if whole else float(value)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(content))
        said = rf"params\.yaml: {section}\.{name} is {value:.15g}; it has to be at least"
        with pytest.raises(InputError, match=said):
            load_params(path, section, SECTIONS[section])
