"""Tars written block by block, as other programs than `tarfile` write them."""

END = bytes(1024)


def header(
    name: bytes, size: int = 0, kind: bytes = b"0", link: bytes = b"", magic: bytes = b"ustar\x0000", **fields: bytes
) -> bytes:
    """One header; `fields` are `size` as it is written, or `extra`, what follows the name of a link's target."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:124] = b"0000644\0" + b"0000000\0" * 2
    block[124:136] = fields.get("number", b"%011o\0" % size)
    block[136:148] = b"%011o\0" % 0
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = magic
    for offset, value in ((386, fields.get("sparse", b"")), (483, fields.get("real", b""))):
        block[offset : offset + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def member(name: bytes, data: bytes, kind: bytes = b"0", magic: bytes = b"ustar\x0000") -> bytes:
    return header(name, len(data), kind, magic=magic) + padded(data)


def pax(records: list[tuple[bytes, bytes]], kind: bytes = b"x") -> bytes:
    """An extended header, with the length before each record."""
    data = b""
    for key, value in records:
        size = len(key) + len(value) + 3
        size += len(b"%d" % (size + len(b"%d" % size)))
        data += b"%d %s=%s\n" % (size, key, value)
    return header(b"x", len(data), kind) + padded(data)


Parts = list[tuple[int, bytes]]
"""What is stored of a sparse member: offsets and bytes."""


def sparse_gnu(name: bytes, parts: Parts, size: int) -> bytes:
    """A sparse member of the old format, with up to four parts in its header."""
    places = b"".join(b"%011o\0%011o\0" % (offset, len(data)) for offset, data in parts)
    data = b"".join(data for _, data in parts)
    return header(name, len(data), b"S", magic=b"ustar  \0", sparse=places, real=b"%011o\0" % size) + padded(data)


def sparse_pax(version: str, name: bytes, parts: Parts, size: int) -> bytes:
    """A sparse member of the formats 0.0, 0.1 and 1.0 of GNU tar."""
    data, sizes = b"".join(data for _, data in parts), [(offset, len(data)) for offset, data in parts]
    real, count = (b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.numblocks", b"%d" % len(parts))
    if version == "0.0":
        each = [
            (b"GNU.sparse." + key, b"%d" % number)
            for one in sizes
            for key, number in zip((b"offset", b"numbytes"), one, strict=True)
        ]
        return pax([real, count, *each]) + member(name, data)
    renamed = (b"GNU.sparse.name", name)
    if version == "0.1":
        places = b",".join(b"%d,%d" % one for one in sizes)
        return pax([real, count, (b"GNU.sparse.map", places), renamed]) + member(b"other", data)
    table = padded(b"%d\n" % len(parts) + b"".join(b"%d\n%d\n" % one for one in sizes))
    versions = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]
    return pax([*versions, renamed, (b"GNU.sparse.realsize", b"%d" % size)]) + member(b"other", table + data)
