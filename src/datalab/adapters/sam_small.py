"""The small SAM: Segment Anything's own classes at 256 pixels, with a convolutional stem.

It has the proportions of the official models: patches of 16 pixels, masks at a quarter of the resolution. A stem of
four strided convolutions takes the place of the patch projection, because a transformer learns from little data much
faster behind convolutions (Xiao et al. 2021, "Early Convolutions Help Transformers See Better").
"""

from itertools import pairwise

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

IMAGE_SIZE = 256
PATCH = 16
WIDTH = 192
PROMPT_WIDTH = 128
GRID = IMAGE_SIZE // PATCH


class ConvolutionalStem(nn.Module):
    """Four strided convolutions: (B, 3, 256, 256) to (B, 16, 16, width), channels last as the encoder wants them."""

    def __init__(self, width: int) -> None:
        """`width` is the encoder's embedding dimension."""
        super().__init__()
        widths = (3, 32, 64, 128, width)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Tokens of a batch of normalised images."""
        tokens: torch.Tensor = self.layers(images).permute(0, 2, 3, 1)
        return tokens


def build_small_sam() -> Sam:
    """The network with random weights, about 3.5 million parameters, in evaluation mode."""
    encoder = ImageEncoderViT(
        img_size=IMAGE_SIZE,
        patch_size=PATCH,
        embed_dim=WIDTH,
        depth=5,
        num_heads=6,
        out_chans=PROMPT_WIDTH,
        use_rel_pos=True,
        window_size=8,
        global_attn_indexes=(2, 4),
    )
    encoder.patch_embed = ConvolutionalStem(WIDTH)
    prompts = PromptEncoder(
        embed_dim=PROMPT_WIDTH,
        image_embedding_size=(GRID, GRID),
        input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
        mask_in_chans=16,
    )
    decoder = MaskDecoder(
        transformer_dim=PROMPT_WIDTH,
        transformer=TwoWayTransformer(depth=2, embedding_dim=PROMPT_WIDTH, mlp_dim=512, num_heads=8),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=128,
    )
    return Sam(encoder, prompts, decoder).eval()
