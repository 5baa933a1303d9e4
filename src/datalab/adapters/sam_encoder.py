"""SAM's image encoder, quicker: its attention as one fused product, in half precision where the hardware has it.

The official encoder writes out the attention of every pair of places and adds to it what their offset in rows and in
columns is worth. Both offsets are products too: of a vector that the query makes for each row (each column) and of a
mark that says in which row (column) the other place lies. So they go into the vectors that attention compares, as
further numbers, and no matrix of pairs is ever made: [q, rows of q, columns of q] . [k, its row, its column].
"""

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch import Tensor, nn
from torch.nn import functional

GRANULE = 8
"""Fused attention on a GPU wants vectors whose length is a multiple of it."""


class FastEncoder(nn.Module):
    """An official encoder with its weights, over the same squares: (B, 3, S, S) to (B, C, h, w) float32."""

    def __init__(self, official: ImageEncoderViT, precision: torch.dtype) -> None:
        """Takes the encoder over and changes it. `precision`: torch.float32, or torch.bfloat16 for products."""
        super().__init__()
        self.official = official
        self.img_size = int(official.img_size)
        self.precision = precision
        for block in official.blocks:
            if block.attn.use_rel_pos:
                block.attn = FusedAttention(block.attn)

    def forward(self, squares: Tensor) -> Tensor:
        """Embeddings of normalised images."""
        half = self.precision != torch.float32
        with torch.autocast(squares.device.type, dtype=self.precision, enabled=half):
            embeddings: Tensor = self.official(squares)
        return embeddings.float()


class FusedAttention(nn.Module):
    """Attention with offsets of rows and columns, as segment_anything's `Attention` computes it, up to rounding."""

    def __init__(self, official: Attention) -> None:
        """Shares the weights."""
        super().__init__()
        self.num_heads = int(official.num_heads)
        self.scale = float(official.scale)
        self.qkv, self.proj = official.qkv, official.proj
        self.rel_pos_h, self.rel_pos_w = official.rel_pos_h, official.rel_pos_w

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same."""
        batch, height, width, _ = x.shape
        query, key, value = self._heads(self.qkv(x), 3)
        grid = torch.unflatten(query, 2, (height, width))
        offsets = (
            torch.einsum("bnhwc,hkc->bnhwk", grid, get_rel_pos(height, height, self.rel_pos_h).to(query.dtype)),
            torch.einsum("bnhwc,wkc->bnhwk", grid, get_rel_pos(width, width, self.rel_pos_w).to(query.dtype)),
        )
        marks = _marks(height, width, key)
        more = marks.shape[-1]
        filled = more - height - width
        wide = [query * self.scale, *(one.flatten(2, 3) for one in offsets), query.new_zeros(*query.shape[:3], filled)]
        attended = functional.scaled_dot_product_attention(
            torch.cat(wide, dim=-1),
            torch.cat([key, marks.expand(*key.shape[:3], more)], dim=-1),
            functional.pad(value, (0, more)),  # kernels that are fast want all three of one length
            scale=1.0,
        )[..., : value.shape[-1]]
        mixed: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, height, width, -1))
        return mixed

    def _heads(self, projected: Tensor, count: int) -> tuple[Tensor, ...]:
        """(B, H, W, count * heads * c) to `count` of (B, heads, H * W, c)."""
        split = torch.unflatten(projected.flatten(1, 2), 2, (count, self.num_heads, -1))
        heads: tuple[Tensor, ...] = split.permute(2, 0, 3, 1, 4).unbind(0)
        return heads


def precision_for(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies matrices in it, which is several times as fast; else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if torch.cpu.get_capabilities().get("amx_bf16") else torch.float32


def _marks(height: int, width: int, like: Tensor) -> Tensor:
    """(height * width, height + width, filled up to the granule with the vectors of `like`): a place's row, column."""
    rows = torch.eye(height, dtype=like.dtype, device=like.device).repeat_interleave(width, dim=0)
    columns = torch.eye(width, dtype=like.dtype, device=like.device).repeat(height, 1)
    marks = torch.cat([rows, columns], dim=1)
    return functional.pad(marks, (0, -(like.shape[-1] + height + width) % GRANULE))
