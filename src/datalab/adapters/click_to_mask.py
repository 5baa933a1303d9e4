"""Masks from clicks on published images: SAM with one encoding per image, never one per click.

A box is encoded by itself where the model sees little and takes hundredths of a second (`sam_zoom`).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from segment_anything.modeling import Sam

from datalab.adapters.embedding_cache import Embedding, EmbeddingCache, image_hash
from datalab.adapters.files import read_rgb
from datalab.adapters.label_studio.click import Asked, ClickRequest
from datalab.adapters.label_studio.media import media_file
from datalab.adapters.mask_generator import Pixels
from datalab.adapters.sam_embed import embed_image
from datalab.adapters.sam_prompt import Prompt, mask_at
from datalab.adapters.sam_zoom import part_round, zooms_in
from datalab.errors import InputError
from datalab.masks import BoolMask

KEPT = 64
"""Images whose size, and whose embedding, are known by their file without reading or hashing it again.

Embeddings are memory-mapped, so they cost next to nothing.
"""

FileKey = tuple[Path, int, int]


class ClickToMask:
    """Serves several people at once: images are encoded one after the other, decodings do not wait for them.

    The pixels of the last image that a box was dragged on are kept, up to 180 MB of the largest that is ingested.
    """

    def __init__(self, sam: Sam, model_version: str, cache: EmbeddingCache, media: Path, most_pixels: int) -> None:
        """`media`: the folder that images are read from, and none outside of it; none of more than `most_pixels`."""
        self.sam = sam
        self.model_version = model_version
        self.cache = cache
        self.media = media
        self.most_pixels = most_pixels
        self.encoded = 0
        """How many images this object has encoded."""
        self._known: OrderedDict[FileKey, Embedding] = OrderedDict()
        # asked for before the encoding and again before the masks; what cannot be read is not kept
        self._size = lru_cache(KEPT)(_image_size)
        self._last: tuple[FileKey, Pixels] | None = None
        self._encoder = ThreadPoolExecutor(1, "encoder")
        self._under_way: dict[FileKey, Future[Embedding]] = {}
        self._noting = threading.Lock()

    def encoding(self, request: ClickRequest) -> Future[Embedding] | None:
        """What `masks` of a request would wait for: the encoding of its image, begun here or under way already.

        None where nothing has to be encoded. A server waits for it without keeping a thread busy, so that however many
        people open an image, clicks on others are answered. InputError where the image cannot be used.
        """
        path = self._file(request)
        if all(self._looks_closer(asked.prompt) for asked in request.asked) or self._found(path) is not None:
            return None
        return self._begun(path)

    def masks(self, request: ClickRequest) -> list[tuple[Asked, BoolMask, float]]:
        """The mask (height, width) of every region asked for and its predicted IoU; those that are empty are left out.

        InputError where the image cannot be used, or nothing was found.
        """
        path = self._file(request)
        # read at the first box: every box that is open on the screen is asked for again with each click
        pixels = cache(partial(self._pixels, path))
        found = [(asked, *self._mask(path, pixels, request, asked.prompt)) for asked in request.asked]
        kept = [one for one in found if one[1].any()]
        if not kept:
            raise InputError("nothing was found there; click on another part of the object, or drag a box about it")
        return kept

    def _file(self, request: ClickRequest) -> Path:
        path = media_file(self.media, request.image)
        _check(path, self._size(_key(path)), request, self.most_pixels)
        return path

    def _looks_closer(self, prompt: Prompt) -> bool:
        """Whether the prompt is a box whose part of the image is encoded by itself."""
        return prompt.box is not None and not prompt.points and zooms_in(self.sam)

    def _mask(
        self, path: Path, pixels: Callable[[], Pixels], request: ClickRequest, prompt: Prompt
    ) -> tuple[BoolMask, float]:
        if prompt.box is None or not self._looks_closer(prompt):
            return mask_at(self.sam, self._embedding(path), request.height, request.width, prompt)
        box = np.array(prompt.box)
        x0, y0, x1, y1 = part_round(box, request.height, request.width)
        left, top, right, bottom = (float(value) for value in box - [x0, y0, x0, y0])
        part = embed_image(self.sam, pixels()[y0:y1, x0:x1])
        found, score = mask_at(self.sam, part, y1 - y0, x1 - x0, Prompt(box=(left, top, right, bottom)))
        mask = np.zeros((request.height, request.width), dtype=bool)
        mask[y0:y1, x0:x1] = found
        return mask, score

    def _pixels(self, path: Path) -> Pixels:
        """Another box on the same photograph comes with the next request."""
        key, last = _key(path), self._last
        if last is None or last[0] != key:
            last = self._last = (key, _read(path))
        return last[1]

    def _embedding(self, path: Path) -> Embedding:
        found = self._found(path)
        return self._begun(path).result() if found is None else found

    def _found(self, path: Path) -> Embedding | None:
        """The embedding where it is known or in the cache."""
        key = _key(path)
        with self._noting:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        found = self.cache.find(image_hash(path), self.model_version)
        if found is not None:
            self._note(key, found)
        return found

    def _begun(self, path: Path) -> Future[Embedding]:
        """The encoding of an image; two people who open it at the same time cause one."""
        key = _key(path)
        with self._noting:
            if key not in self._under_way:
                self._under_way[key] = self._encoder.submit(self._encode, key)
            return self._under_way[key]

    def _encode(self, key: FileKey) -> Embedding:
        path = key[0]
        try:
            # another file with the same bytes may have been encoded meanwhile
            found = self.cache.find_or_make(image_hash(path), self.model_version, partial(self._embed, path))
            self._note(key, found)
            return found
        finally:
            with self._noting:
                del self._under_way[key]

    def _note(self, key: FileKey, embedding: Embedding) -> None:
        with self._noting:
            self._known[key] = embedding
            if len(self._known) > KEPT:
                self._known.popitem(last=False)

    def _embed(self, path: Path) -> Embedding:
        self.encoded += 1
        return embed_image(self.sam, _read(path))


def _key(path: Path) -> FileKey:
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size


def _image_size(key: FileKey) -> tuple[int, int]:
    """(width, height) by the file's head alone; pixels are read where they are encoded."""
    path = key[0]
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as exc:
        raise _unreadable(path) from exc


def _read(path: Path) -> Pixels:
    """InputError for whoever clicks, to whom this machine's paths say nothing; its cause is for the log."""
    try:
        return read_rgb(path)
    except InputError as exc:
        raise _unreadable(path) from exc


def _unreadable(path: Path) -> InputError:
    return InputError(f"the image {path.name} cannot be read; it is damaged or no image")


def _check(path: Path, size: tuple[int, int], request: ClickRequest, most_pixels: int) -> None:
    width, height = size
    if width * height > most_pixels:
        raise InputError(f"the image {path.name} is too large: {width} x {height} pixels")
    if (height, width) != (request.height, request.width):
        raise InputError(
            f"the image {path.name} has {width} x {height} pixels and the labeling screen shows "
            f"{request.width} x {request.height}; load the page again"
        )
