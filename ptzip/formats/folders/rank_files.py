"""Files in which every process saved its own state: `..._world_size_4_rank_0.pt`, `pytorch_model_fsdp_rank0.bin` and the like.

Each process has its shards of the tensors that were split. Plain tensors are copies, of which all have to be equal. The object
is that of the first process, with whole tensors.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ptzip.errors import FormatError, PtzipError, UnsupportedError
from ptzip.formats.container import Part
from ptzip.formats.folders.assembly import Assembly, Fact, Folder, Role, Unread
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pieces import Piece
from ptzip.formats.folders.rank_shares import DTENSOR, SHARDED_TENSOR, KeyPath, Share, shares_in
from ptzip.formats.folders.replicas import one_of
from ptzip.formats.folders.whole_files import opened
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.nodes import Global, Node, Slot
from ptzip.tensors.dtypes import BY_NAME

NAME = "files of ranks"

RANK_FILE = re.compile(
    r"(?P<head>.*?)(?:world_size_(?P<world>\d+)_)?(?P<sign>rank[_-]?)(?P<rank>\d+)(?P<tail>(\.(pt|pth|bin|ckpt|pkl|tar|distcp))+)"
)
FSDP = "_fsdp_"
MODEL = "model"
"""What the names of the files with the model have in them, where others have the optimizer."""

MOST_RANKS = 1 << 16

FLAT_PARAMETER = "flat_param"
"""FSDP1 in its form LOCAL_STATE_DICT, and before 2.0 in all, keeps the parameters of a layer in one (`fsdp/_flat_param.py`)."""


# The files


class RankSet(NamedTuple):
    """Files whose names differ in the number of the process alone; `world` is the number of processes, where names have it."""

    names: dict[int, str]
    world: int | None

    @property
    def like(self) -> str:
        """The name of the first file."""
        return self.names[min(self.names)]

    @property
    def is_of_model(self) -> bool:
        return MODEL in self.like.lower()

    @property
    def is_whole(self) -> bool:
        """Whether the names alone say that the files are one checkpoint."""
        return self.world is not None or FSDP in self.like


def files(listing: Listing) -> list[str] | None:
    """The files of all sets, those of the model first; None where no set is one checkpoint.

    A set is one where its names say so, or where its first file has tensors that were split.
    """
    found = [one for one in rank_sets(listing.names) if one.is_whole or _is_split(listing, one.like)]
    if listing.asked or not found:
        return None
    found.sort(key=lambda one: not one.is_of_model)
    return [name for one in found for _, name in sorted(one.names.items())]


def rank_sets(names: Sequence[str]) -> list[RankSet]:
    found = dict[tuple[str | None, ...], RankSet]()
    for name in names:
        if (match := RANK_FILE.fullmatch(name)) is not None and int(match["rank"]) < MOST_RANKS:
            world = match["world"] and int(match["world"])
            key = match["head"], match["world"], match["sign"], match["tail"]
            found.setdefault(key, RankSet({}, world or None)).names[int(match["rank"])] = name
    return list(found.values())


def _is_split(listing: Listing, name: str) -> bool:
    try:
        source = FolderSource(str(listing.path), NAME, [name])
        try:
            calls = opened(source, name, Limits()).pickle.calls
        finally:
            source.close()
    except (PtzipError, OSError):
        return False
    return any(isinstance(node, Global) and node.name in (DTENSOR, SHARDED_TENSOR) for node in calls)


# The object


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where the files do not agree, UnsupportedError where they cannot be put together."""
    chosen, assembly = _model_set(source), Assembly()
    parts = [opened(source, name, limits) for _, name in sorted(chosen.names.items())]
    shares = [shares_in(part) for part in parts]
    _check_names(parts, shares)
    made, replaced = dict[object, Node](), list[tuple[Slot, Node]]()
    for path, share in shares[0].items():
        name = ".".join(path)
        if share.identity not in made:
            pieces = _pieces(name, [other[path] for other in shares if path in other])
            made[share.identity] = assembly.tensor(f"{parts[0].name}/{name}", share.dtype, share.shape, pieces)
        replaced.append((share.slot, made[share.identity]))
    root = assembly.graft(parts[0], parts[0].name)
    for slot, node in replaced:
        slot.put(node)
    others = [one for one in rank_sets(list(source.files)) if one.like != chosen.like]
    unread = [Unread(one.like, sum(source.files[name].size for name in one.names.values()), Role.TRAINING) for one in others]
    return assembly.folder(NAME, source, root, limits, _facts(shares), unread)


def _facts(shares: Sequence[Mapping[KeyPath, Share]]) -> Iterator[Fact]:
    yield Fact("processes", str(len(shares)))
    yield Fact("split", f"{sum(share.is_split for share in shares[0].values()):,} of {len(shares[0]):,} tensors")


def _model_set(source: FolderSource) -> RankSet:
    """The files with the model. Raises UnsupportedError where several sets could be those, FormatError where one is missing."""
    found = rank_sets(list(source.files))
    chosen = [one for one in found if one.is_of_model] or found
    if len(chosen) > 1:
        names = ", ".join(one.like for one in chosen)
        raise UnsupportedError(f"several sets of files could be the model ({names}): move all others to another folder")
    (one,) = chosen
    for rank in range(max(one.world or 0, max(one.names) + 1)):
        if rank not in one.names:
            raise FormatError(f"the file of process {rank} is missing, one like {one.like}: copy it here")
    if one.world is not None and len(one.names) > one.world:
        raise FormatError(f"{one.names[max(one.names)]} is of process {max(one.names)} of {one.world}, expected fewer")
    return one


def _check_names(parts: Sequence[Part], shares: Sequence[Mapping[KeyPath, Share]]) -> None:
    """Raise UnsupportedError where processes have different tensors, or several parameters in one."""
    for part, found in zip(parts, shares, strict=True):
        for path in found:
            name = ".".join(path)
            if path[-1:] and path[-1].endswith(FLAT_PARAMETER):
                raise UnsupportedError(
                    f"{name} is a flat parameter of FSDP1 (LOCAL_STATE_DICT), in which nothing says where the parameters are: "
                    "load it into the model and save that with FULL_STATE_DICT"
                )
            if path not in shares[0]:
                raise UnsupportedError(
                    f"{part.name} has a tensor {name}, and {parts[0].name} has not: each process has other layers (pipeline "
                    "parallel), which only the framework can gather"
                )


def _pieces(name: str, shares: Sequence[Share]) -> list[Piece]:
    """The pieces of a tensor, each once. Raises FormatError where the processes contradict one another."""
    first, copies = shares[0], dict[tuple[object, ...], list[Piece]]()
    for share in shares:
        if (share.dtype, share.shape, share.is_split) != (first.dtype, first.shape, first.is_split):
            raise FormatError(
                f"tensor {name} is {first.described}, but {share.described}: they are no copies or shards of one tensor"
            )
        for offsets, part in share.boxes:
            copies.setdefault((offsets, part.shape), []).append(part.piece(offsets))
    if first.dtype not in BY_NAME:
        return [same[0] for same in copies.values()]  # which `Assembly.tensor` refuses
    return [one_of(name, BY_NAME[first.dtype].size, same) for same in copies.values()]
