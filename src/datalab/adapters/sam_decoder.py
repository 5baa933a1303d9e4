"""SAM's mask decoder for many points on one image: the official weights, each product made once.

What the official modules compute anew for every prompt is shared where it is the same for all: keys, values and queries
of the image in the first block. Where the image attends to seven tokens or they to it, the image's projections are
folded into the tokens, which are few: q (W x) = (q W) x. And only prompts whose predicted IoU is good enough get masks.
The results are those of `MaskDecoder.predict_masks`, up to rounding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from segment_anything.modeling import Sam
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Decoded:
    """A batch of B point prompts before any mask is made."""

    predicted_iou: Tensor
    """(B, 3) float32, of the three masks of each prompt."""
    image: Tensor
    """(B, N, C): the image's places as each prompt sees them."""
    tokens: Tensor
    """(B, 3, C): one per mask."""


class PointDecoder:
    """Decodes prompts on one image."""

    def __init__(self, sam: Sam, features: Tensor, precision: torch.dtype = torch.float32) -> None:
        """`features`: (1, C, h, w), the image's embedding. `precision`: of the products; torch.bfloat16 for a GPU."""
        self.sam = sam
        self.cast = torch.autocast(features.device.type, precision, enabled=precision != torch.float32)
        self.decoder = sam.mask_decoder
        self.grid = (int(features.shape[2]), int(features.shape[3]))
        no_mask = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        self.image = _places(features + no_mask)[0]
        self.place = _places(sam.prompt_encoder.get_dense_pe())[0]
        first = self.decoder.transformer.layers[0]
        located = self.image + self.place
        self.keys = _heads(first.cross_attn_token_to_image, first.cross_attn_token_to_image.k_proj(located))
        self.values = _heads(first.cross_attn_token_to_image, first.cross_attn_token_to_image.v_proj(self.image))
        self.queries = _heads(first.cross_attn_image_to_token, first.cross_attn_image_to_token.q_proj(located))
        self.upscaling = _Upscaling(self.decoder.output_upscaling)

    def decode(self, points: Tensor) -> Decoded:
        """`points`: (B, 2), x and y in the pixels of SAM's input image."""
        return decode_together([self], [points])

    def begin(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B, t, C) and image (B, N, C) behind the first block, and the prompts' own tokens (B, t, C)."""
        labels = torch.ones(len(points), 1, dtype=torch.int, device=points.device)
        # in full precision: half of it blurs places
        sparse, _ = self.sam.prompt_encoder(points=(points[:, None, :], labels), boxes=None, masks=None)
        with self.cast:
            own = torch.cat([self.decoder.iou_token.weight, self.decoder.mask_tokens.weight])
            prompt = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
            return (*self._first(self.decoder.transformer.layers[0], prompt), prompt)

    def finish(self, tokens: Tensor, image: Tensor, prompt: Tensor) -> Decoded:
        """What follows the first block is the same for prompts on any image."""
        transformer = self.decoder.transformer
        with self.cast:
            for layer in transformer.layers[1:]:
                tokens, image = self._later(layer, tokens, image, prompt)
            attended = _to_image(transformer.final_attn_token_to_image, tokens + prompt, image, image + self.place)
            tokens = transformer.norm_final_attn(tokens + attended)
        # in half precision it would come in steps of 1/256, by which masks are kept and dropped
        with torch.autocast(tokens.device.type, enabled=False):
            iou = self.decoder.iou_prediction_head(tokens[:, 0].float())[:, 1:]
        return Decoded(iou, image, tokens[:, 2 : 1 + self.decoder.num_mask_tokens])

    def masks(self, decoded: Decoded, prompts: Tensor) -> Tensor:
        """Logits (n, 3, 4h, 4w) of the masks of those `prompts`, (n,) places in the batch."""
        with self.cast:
            upscaled = self.upscaling(decoded.image[prompts])
            networks = self.decoder.output_hypernetworks_mlps[1:]
            hyper = torch.stack([net(decoded.tokens[prompts, place]) for place, net in enumerate(networks)], dim=2)
            logits = (upscaled.flatten(1, 2) @ hyper).float()
        h, w = self.grid
        # (n, h, w, 2, 2, 2, 2, 3): the place, its quarter, and that quarter's quarter, each as row and column
        split = logits.reshape(len(prompts), h, w, 2, 2, 2, 2, -1)
        return split.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(len(prompts), -1, 4 * h, 4 * w)

    def _first(self, layer: TwoWayAttentionBlock, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """The first block, where every prompt still sees the same image."""
        count, tokens_each, _ = prompt.shape
        tokens = layer.norm1(layer.self_attn(q=prompt, k=prompt, v=prompt))
        attention = layer.cross_attn_token_to_image
        query = _heads(attention, attention.q_proj(tokens + prompt).flatten(0, 1))
        weights = torch.softmax(query @ self.keys.transpose(1, 2) / query.shape[-1] ** 0.5, dim=-1)
        attended = (weights @ self.values).transpose(0, 1).reshape(count, tokens_each, -1)
        tokens = layer.norm2(tokens + attention.out_proj(attended))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        attention = layer.cross_attn_image_to_token
        key = _heads(attention, attention.k_proj(tokens + prompt).flatten(0, 1))
        scores = key @ self.queries.transpose(1, 2) / key.shape[-1] ** 0.5
        scores = scores.reshape(len(key), count, tokens_each, -1).transpose(0, 1)
        return tokens, layer.norm4(_from_tokens(attention, scores, tokens) + self.image)

    def _later(
        self, layer: TwoWayAttentionBlock, tokens: Tensor, image: Tensor, prompt: Tensor
    ) -> tuple[Tensor, Tensor]:
        located = tokens + prompt
        tokens = layer.norm1(tokens + layer.self_attn(q=located, k=located, v=tokens))
        placed = image + self.place
        tokens = layer.norm2(tokens + _to_image(layer.cross_attn_token_to_image, tokens + prompt, image, placed))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        attention = layer.cross_attn_image_to_token
        key = _token_heads(attention, attention.k_proj(tokens + prompt)) / _width(attention) ** 0.5
        folded, offset = _folded(attention.q_proj, attention, key), _bias(attention.q_proj, attention, key)
        scores = torch.baddbmm(offset.flatten(1, 2), folded.flatten(1, 2), placed.transpose(1, 2))
        scores = torch.unflatten(scores, 1, folded.shape[1:3])
        return tokens, layer.norm4(_from_tokens(attention, scores, tokens).add_(image))


def decode_together(decoders: Sequence[PointDecoder], points: Sequence[Tensor]) -> Decoded:
    """Prompts on several images of one SAM, (B, 2) points on each; one image's prompts after the other's.

    Masks of the result are those of any of the decoders.
    """
    begun = [decoder.begin(some) for decoder, some in zip(decoders, points, strict=True)]
    tokens, image, prompt = (torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*begun, strict=True))
    return decoders[0].finish(tokens, image, prompt)


class _Upscaling:
    """Two transposed convolutions of stride 2 as products, with the channels last throughout."""

    def __init__(self, layers: Iterable[Any]) -> None:
        first, self.norm, self.activation, second, _ = layers
        self.weights = [conv.weight.permute(0, 2, 3, 1).flatten(1) for conv in (first, second)]
        self.biases = [conv.bias.repeat(4) for conv in (first, second)]

    def __call__(self, image: Tensor) -> Tensor:
        """(n, N, C) to (n, N, 16, C / 8): each place's quarters, and their quarters."""
        quarters = torch.unflatten(torch.addmm(self.biases[0], image.flatten(0, 1), self.weights[0]), 1, (4, -1))
        normed = functional.layer_norm(quarters, quarters.shape[-1:], self.norm.weight, self.norm.bias, self.norm.eps)
        active = self.activation(normed)
        fine = torch.addmm(self.biases[1], active.flatten(0, 1), self.weights[1])
        return functional.gelu(fine).reshape(len(image), image.shape[1], 16, -1)


def _places(grid: Tensor) -> Tensor:
    """(1, C, h, w) to (1, h * w, C)."""
    return grid.flatten(2).transpose(1, 2).contiguous()


def _width(attention: Attention) -> int:
    """Channels per head."""
    return int(attention.internal_dim) // int(attention.num_heads)


def _heads(attention: Attention, rows: Tensor) -> Tensor:
    """(n, heads * c) to (heads, n, c)."""
    return torch.unflatten(rows, 1, (attention.num_heads, -1)).transpose(0, 1).contiguous()


def _token_heads(attention: Attention, tokens: Tensor) -> Tensor:
    """(B, t, heads * c) to (B, heads, t, c)."""
    return torch.unflatten(tokens, 2, (attention.num_heads, -1)).transpose(1, 2)


def _folded(projection: nn.Linear, attention: Attention, tokens: Tensor) -> Tensor:
    """(B, heads, t, c) tokens times the weights of the image's projection: (B, heads, t, C)."""
    return tokens @ torch.unflatten(projection.weight, 0, (attention.num_heads, -1))


def _bias(projection: nn.Linear, attention: Attention, tokens: Tensor) -> Tensor:
    """What the image's projection adds to every score of a token: (B, heads, t, 1)."""
    return tokens @ torch.unflatten(projection.bias, 0, (attention.num_heads, -1)).unsqueeze(-1)


def _to_image(attention: Attention, tokens: Tensor, image: Tensor, placed: Tensor) -> Tensor:
    """Tokens (B, t, C) attend to the image (B, N, C): (B, t, C).

    The bias of the keys adds the same to all scores of a token, which the softmax takes out again; that of the values
    comes through as it is, since weights sum to 1.
    """
    query = _token_heads(attention, attention.q_proj(tokens)) / _width(attention) ** 0.5
    folded = _folded(attention.k_proj, attention, query)
    weights = torch.softmax(folded.flatten(1, 2) @ placed.transpose(1, 2), dim=-1)
    mixed = torch.unflatten(weights @ image, 1, folded.shape[1:3])
    values = mixed @ torch.unflatten(attention.v_proj.weight, 0, (attention.num_heads, -1)).transpose(1, 2)
    attended = values.transpose(1, 2).flatten(2) + attention.v_proj.bias
    result: Tensor = attention.out_proj(attended)
    return result


def _from_tokens(attention: Attention, scores: Tensor, tokens: Tensor) -> Tensor:
    """What the image's places (N) take from tokens (B, t, C) at `scores` (B, heads, t, N): (B, N, C)."""
    weights = torch.softmax(scores, dim=2).flatten(1, 2)
    values = _token_heads(attention, attention.v_proj(tokens))
    mixed = values @ torch.unflatten(attention.out_proj.weight, 1, (attention.num_heads, -1)).permute(1, 2, 0)
    return torch.baddbmm(attention.out_proj.bias, weights.transpose(1, 2), mixed.flatten(1, 2))
