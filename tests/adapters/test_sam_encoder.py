"""Against segment_anything's own encoder, with offsets and places that are not zero as in a new one."""

import copy

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch.nn import functional

from datalab.adapters.sam_encoder import FastEncoder, precision_for


def encoder(width: int = 48, heads: int = 3, window: int = 5) -> ImageEncoderViT:
    """Two blocks, one of them in windows that do not divide the grid of 8 x 8 places."""
    torch.manual_seed(1)
    made = ImageEncoderViT(
        img_size=64,
        patch_size=8,
        embed_dim=width,
        depth=2,
        num_heads=heads,
        out_chans=16,
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=(1,),
    )
    for name, parameter in made.named_parameters():
        if "pos" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize(("width", "heads", "window"), [(48, 3, 5), (40, 5, 8), (32, 1, 3)])
def test_embeddings_are_the_official_ones(width: int, heads: int, window: int) -> None:
    official = encoder(width, heads, window)
    squares = torch.randn(2, 3, 64, 64)
    found = FastEncoder(copy.deepcopy(official), torch.float32)(squares)
    torch.testing.assert_close(found, official(squares), rtol=1e-4, atol=1e-5)


def test_half_precision_gives_nearly_the_same_in_full_floats() -> None:
    official = encoder()
    squares = torch.randn(1, 3, 64, 64)
    found = FastEncoder(copy.deepcopy(official), torch.bfloat16)(squares)
    assert found.dtype == torch.float32
    assert functional.cosine_similarity(found.flatten(), official(squares).flatten(), dim=0) > 0.999


def test_an_encoder_without_offsets_stays_as_it_is() -> None:
    plain = ImageEncoderViT(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, out_chans=8).eval()
    squares = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(FastEncoder(copy.deepcopy(plain), torch.float32)(squares), plain(squares))


def test_images_together_give_what_each_gives_alone() -> None:
    fast = FastEncoder(encoder(), torch.float32)
    squares = torch.randn(3, 3, 64, 64)
    together = fast(squares)
    for place in range(3):
        torch.testing.assert_close(together[place], fast(squares[place : place + 1])[0], rtol=1e-4, atol=1e-5)


def test_the_precision_is_one_of_two() -> None:
    assert precision_for(torch.device("cpu")) in (torch.float32, torch.bfloat16)
