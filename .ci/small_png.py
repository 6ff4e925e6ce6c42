"""Makes a screenshot small: at most 256 colours, as a PNG with a palette. Flat pages lose nothing that is seen."""

import collections
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunks(png):
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def pixels(png):
    """Width, height and the colours of a PNG with 8 bits for each of red, green and blue, with or without alpha."""
    parts = collections.defaultdict(bytes)
    for name, data in chunks(png):
        parts[name] += data
    width, height, depth, kind, *_ = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert depth == 8 and kind in (2, 6), (depth, kind)
    size = 3 if kind == 2 else 4
    data, before, colours = zlib.decompress(parts[b"IDAT"]), bytearray(width * size), []
    for y in range(height):
        at = y * (width * size + 1)
        row = unfiltered(data[at], bytearray(data[at + 1 : at + 1 + width * size]), before, size)
        colours += [bytes(row[x : x + 3]) for x in range(0, len(row), size)]
        before = row
    return width, height, colours


def unfiltered(kind, row, above, size):
    for x in range(len(row)):
        left = row[x - size] if x >= size else 0
        corner = above[x - size] if x >= size else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = above[x]
        elif kind == 3:
            guess = (left + above[x]) // 2
        elif kind == 4:
            p = left + above[x] - corner
            guess = min((abs(p - left), 0, left), (abs(p - above[x]), 1, above[x]), (abs(p - corner), 2, corner))[2]
        else:
            return row
        row[x] = (row[x] + guess) & 255
    return row


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def small(png):
    """The same picture with its 256 most frequent colours; every other one becomes the nearest of these."""
    width, height, colours = pixels(png)
    counts = collections.Counter(colours)
    palette = [colour for colour, _ in counts.most_common(256)]
    distance = lambda a, b: sum((one - other) ** 2 for one, other in zip(a, b))
    index = {colour: min(range(len(palette)), key=lambda at: distance(palette[at], colour)) for colour in counts}
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        rows += bytes(index[colour] for colour in colours[y * width : (y + 1) * width])
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"PLTE", b"".join(palette)), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(parts)
