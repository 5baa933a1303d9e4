"""PNGs of every kind, also of those that no library here writes."""

import struct
import zlib


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *further: tuple[bytes, bytes]) -> bytes:
    """A file of PNG's `colour` type; each of the `rows` begins with a filter's number, `further` chunks lie before."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *further, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
