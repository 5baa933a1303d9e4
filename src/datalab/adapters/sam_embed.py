"""SAM's embeddings of images, made one by one or several in one go, and put back into a predictor."""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from torch.nn import functional

from datalab.adapters.embedding_cache import Embedding
from datalab.adapters.gpu_memory import batches_of
from datalab.adapters.mask_generator import Pixels, empty_predictor

ON_GPU = 8
"""Images encoded in one go: segment-anything-fast gained nothing from more."""


def embed_image(sam: Sam, pixels: Pixels) -> Embedding:
    """Embedding (C, h, w) float16 of a (H, W, 3) uint8 RGB image, over SAM's square with padding below or right."""
    return embed_images(sam, [pixels])[0]


def embed_images(sam: Sam, images: Iterable[Pixels]) -> list[Embedding]:
    """`embed_image` of several in one go, in two where a GPU's memory is full.

    Each is scaled to SAM's input before the next is taken: they may be read one after the other, and are not kept.
    """
    scaled = list(map(partial(_scaled, sam), images))  # in a comprehension one would be kept while the next is read
    parts = batches_of(sam, "images").each(len(scaled), len(scaled), lambda rows: _encoded(sam, scaled[rows]))
    return [embedding for part in parts for embedding in part]


def _scaled(sam: Sam, pixels: Pixels) -> Pixels:
    scaled: Pixels = empty_predictor(sam).transform.apply_image(np.ascontiguousarray(pixels))
    return scaled


def _encoded(sam: Sam, scaled: Sequence[Pixels]) -> list[Embedding]:
    with torch.inference_mode():
        squares = torch.cat([_square(sam, pixels) for pixels in scaled])
        # another number of images would have a compiled encoder compiled again
        missing = batches_of(sam, "images").filled(len(scaled)) - len(scaled)
        embeddings = sam.image_encoder(functional.pad(squares, (0, 0) * 3 + (0, missing)))[: len(scaled)]
        return list(embeddings.cpu().numpy().astype(np.float16))


def encoded_at_once() -> int:
    """How many images to hand to `embed_images` on this machine: one keeps a CPU busy."""
    return ON_GPU if torch.cuda.is_available() else 1


def _square(sam: Sam, scaled: Pixels) -> torch.Tensor:
    """(1, 3, S, S), normalised and padded."""
    planes = torch.as_tensor(scaled, device=sam.device).permute(2, 0, 1).contiguous()[None]
    square: torch.Tensor = sam.preprocess(planes)
    return square


def restore(sam: Sam, embedding: Embedding, height: int, width: int) -> SamPredictor:
    """A predictor that holds what `embed_image` made of an image of this size; nothing is encoded."""
    predictor = empty_predictor(sam)
    predictor.original_size = (height, width)
    predictor.input_size = predictor.transform.get_preprocess_shape(height, width, sam.image_encoder.img_size)
    predictor.features = torch.from_numpy(np.array(embedding, dtype=np.float32))[None].to(sam.device)
    predictor.is_image_set = True
    return predictor


def compile_encoder(sam: Sam) -> None:
    """Compile its encoder, for as many images as are encoded in one go: minutes on a GPU, then less of each image.

    For fewer where a GPU's memory does not hold them; `embed_images` fills up what is less. Embeddings are the same up
    to rounding. No CUDA graphs, which belong to the thread that made them: images are encoded from several.
    """
    encoder = sam.image_encoder

    def encode_nothing(part: slice) -> int:
        count: int = part.stop - part.start
        encoder(torch.zeros(count, 3, encoder.img_size, encoder.img_size, device=sam.device))
        return count

    at_once, batches = encoded_at_once(), batches_of(sam, "images")
    with torch.inference_mode():
        fitting = next(batches.each(at_once, at_once, encode_nothing))
        encoder.compile(mode="max-autotune-no-cudagraphs" if sam.device.type == "cuda" else None)
        # here and now: threads that come to it at the same time would each compile it
        batches.least = next(batches.each(fitting, fitting, encode_nothing))
