from pathlib import Path

import pytest
import torch
from segment_anything.modeling import Sam

from datalab.adapters.sam import load_sam
from datalab.adapters.sam_adapted import take_decoder, write_decoder
from datalab.errors import InputError


@pytest.fixture
def sam() -> Sam:
    return load_sam("small")


def weights_of(sam: Sam) -> dict[str, torch.Tensor]:
    return {name: value + 1 for name, value in sam.mask_decoder.state_dict().items()}


def test_weights_come_back_and_change_the_version(sam: Sam, tmp_path: Path) -> None:
    wanted = weights_of(sam)
    write_decoder(tmp_path / "decoder", wanted, "sam-small-1")
    version = take_decoder(sam, "sam-small-1", tmp_path / "decoder")
    assert version.startswith("sam-small-1-adapted-")
    assert all(torch.equal(value, wanted[name]) for name, value in sam.mask_decoder.state_dict().items())


@pytest.mark.parametrize("case", ["no file", "no weights", "another SAM"])
def test_the_official_decoder_stays(sam: Sam, tmp_path: Path, case: str) -> None:
    before = {name: value.clone() for name, value in sam.mask_decoder.state_dict().items()}
    if case != "no file":
        write_decoder(tmp_path / "decoder", {} if case == "no weights" else weights_of(sam), case)
    assert take_decoder(sam, "sam-small-1", tmp_path / "decoder") == "sam-small-1"
    assert all(torch.equal(value, before[name]) for name, value in sam.mask_decoder.state_dict().items())


def test_a_damaged_file_is_told(sam: Sam, tmp_path: Path) -> None:
    write_decoder(tmp_path / "decoder", weights_of(sam), "sam-small-1")
    whole = (tmp_path / "decoder").read_bytes()
    (tmp_path / "decoder").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="run dvc repro adapt"):
        take_decoder(sam, "sam-small-1", tmp_path / "decoder")
