"""Writing the stream that torch.save wrote before 1.6: five pickles, then every storage with its count in front.

Rule: what `_legacy_save` writes in `torch/serialization.py`, which every torch reads; storages are called "0", "1", ... as in a
zip, and follow one another in that order.
"""

import struct
from collections.abc import Sequence

from ptzip.io.atomic_output import SequentialFile
from ptzip.io.payloads import BytesPayload, Payload
from ptzip.pickling.new_nodes import atom, new_dict, new_list
from ptzip.pickling.nodes import Node, Pickle
from ptzip.pickling.writer import write_pickle

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
SIZES = {"short": 2, "int": 4, "long": 4}
"""What torch says of every machine (`torch/serialization.py`, `_legacy_save`)."""


def stream(pickle: bytes, storages: Sequence[Payload], items: Sequence[int]) -> SequentialFile:
    """The whole file; `items` are the bytes of an element of each storage."""
    names = new_list([atom(str(index)) for index in range(len(storages))])
    sizes = _dict({name: atom(size) for name, size in SIZES.items()})
    system = _dict({"protocol_version": atom(PROTOCOL), "little_endian": atom(True), "type_sizes": sizes})
    pickles = [_pickled(atom(MAGIC)), _pickled(atom(PROTOCOL)), _pickled(system), pickle, _pickled(names)]
    parts: list[Payload] = [BytesPayload(data) for data in pickles]
    for payload, item in zip(storages, items, strict=True):
        parts += [BytesPayload(struct.pack("<q", payload.length // item)), payload]
    return SequentialFile(tuple(parts))


def _dict(entries: dict[str, Node]) -> Node:
    return new_dict([one for name, value in entries.items() for one in (atom(name), value)])


def _pickled(root: Node) -> bytes:
    return write_pickle(Pickle(root, protocol=2))
