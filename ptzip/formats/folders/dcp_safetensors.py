"""torch.distributed.checkpoint in safetensors: `shard-{r}-model-{i}-of-{n}.safetensors`, without an index.

The header of each file has the offsets of its boxes, `DCP_SHARDING_INFO` (`distributed/checkpoint/_hf_utils.py`,
`hf_storage.py`). A tensor is as large as its boxes reach, so nothing says whether the last shard of all tensors is missing.
"""

import json
import re

from ptzip.errors import FormatError
from ptzip.formats.detect import open_container
from ptzip.formats.folders.assembly import Assembly, Fact, Folder
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pieces import Piece, Stored
from ptzip.formats.safetensors import SafeTensors
from ptzip.formats.signatures import SAFETENSORS_LENGTH
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.new_nodes import atom, new_dict
from ptzip.tensors.strides import contiguous
from ptzip.tensors.tensor import Tensor

NAME = "torch.distributed.checkpoint folder of safetensors"
SHARD = re.compile(r"shard-(\d+)-model-\d+-of-\d+\.safetensors")
INFO, OFFSETS = "DCP_SHARDING_INFO", "saved_offsets"


def files(listing: Listing) -> list[str] | None:
    """The shards of such a folder; None where it is no such folder."""
    found = [name for name in listing.names if SHARD.fullmatch(name)]
    if listing.asked or not found:
        return None
    size = SAFETENSORS_LENGTH.size
    head = listing.head(found[0], size)
    (length,) = SAFETENSORS_LENGTH.unpack(head.ljust(size, b"\0"))
    return found if INFO.encode() in listing.head(found[0], size + min(length, 1 << 28)) else None


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where its shards do not agree with one another."""
    dtypes, pieces = dict[str, str](), dict[str, list[Piece]]()
    for name in source.files:
        container = open_container(source.files[name], limits)
        if not isinstance(container, SafeTensors):
            raise FormatError(f"{name} is a {container.name}, expected safetensors")
        offsets = _offsets(name, container)
        for tensor, found in container.stored_tensors().items():
            if dtypes.setdefault(tensor, found.dtype) != found.dtype:
                raise FormatError(
                    f"tensor {tensor} is {dtypes[tensor]}, but {found.dtype} in {name}: it is another checkpoint's"
                )
            pieces.setdefault(tensor, []).append(_piece(name, tensor, found, offsets))
    assembly = Assembly()
    nodes = [
        node
        for name, found in pieces.items()
        for node in (atom(name), assembly.tensor(name, dtypes[name], _shape(name, found), found))
    ]
    ranks = {match[1] for name in source.files if (match := SHARD.fullmatch(name))}
    return assembly.folder(NAME, source, new_dict(nodes), limits, [Fact("processes", str(len(ranks)))])


def _offsets(name: str, container: SafeTensors) -> dict[str, tuple[int, ...]]:
    """The first index of each box of a file, by the name of its tensor."""
    try:
        found = json.loads(container.metadata()[INFO])
        return {tensor: tuple(map(int, one[OFFSETS])) for tensor, one in found.items()}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise FormatError(f"the header of {name} does not say where in the tensors its boxes are ({INFO})") from None


def _piece(name: str, tensor: str, found: Tensor, offsets: dict[str, tuple[int, ...]]) -> Piece:
    begin = offsets.get(tensor)
    if begin is None or len(begin) != len(found.shape) or min(begin, default=0) < 0:
        raise FormatError(f"the header of {name} does not say where in tensor {tensor} its box is ({INFO})")
    assert found.storage is not None, "tensors of safetensors have bytes"
    stored = Stored(found.storage.payload(), 0, contiguous(found.shape))
    return Piece(begin, found.shape, lambda: stored, name)


def _shape(name: str, pieces: list[Piece]) -> tuple[int, ...]:
    """What the pieces of a tensor reach. Raises FormatError where they have different numbers of dimensions."""
    if len({len(piece.sizes) for piece in pieces}) > 1:
        raise FormatError(f"the shards have tensor {name} in different numbers of dimensions")
    return tuple(map(max, zip(*(piece.ends for piece in pieces), strict=True))) if pieces[0].sizes else ()
