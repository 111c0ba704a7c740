"""The universal form of DeepSpeed: `zero/NAME/fp32.pt` has the float32 weights of one parameter, for any number of processes.

`latest_universal` names its folder, which also has the model files (`deepspeed/checkpoint/ds_to_universal.py`). The object is
one state dict, with what was not trained as the first model file has it: `zero` has that too, cast to float32.
"""

import math
import re

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.folders import deepspeed_files
from ptzip.formats.folders.assembly import Assembly, Fact, Folder, Role, Unread
from ptzip.formats.folders.deepspeed import state_dict
from ptzip.formats.folders.deepspeed_files import MODEL, base, step_of, tag_in
from ptzip.formats.folders.deepspeed_masters import frozen, shapes_in, shared
from ptzip.formats.folders.fields import attributes, items
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pieces import Stored
from ptzip.formats.folders.whole_files import View, opened, view
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.nodes import Node, lookup, text
from ptzip.tensors.strides import contiguous

NAME = "universal DeepSpeed folder"
LATEST = "latest_universal"
WEIGHTS = "zero"
MASTER = re.compile(rf"(?:.*/)?{WEIGHTS}/(?P<name>[^/]+)/fp32\.pt")


def files(listing: Listing) -> list[str] | None:
    """The files of the folder that `latest_universal` names, or of the folder itself; None where it is no such folder."""
    if listing.asked == LATEST or (
        LATEST in listing.names and not listing.asked and deepspeed_files.LATEST not in listing.names
    ):
        tag = tag_in(listing, LATEST)
        return [f"{tag}/{name}" for name in _names(listing.below(tag))] or None if tag in listing.names else None
    return None if listing.asked else _names(listing) or None


def _names(listing: Listing) -> list[str]:
    """The files of the folder of a step, model files first; none of any other folder."""
    models = [name for name in listing.names if MODEL.fullmatch(name)]
    if not models or WEIGHTS not in listing.names:
        return []
    below = listing.below(WEIGHTS)
    found = [f"{WEIGHTS}/{name}/{file}" for name in below.names for file in below.below(name).names if file.endswith(".pt")]
    return [*models, *found] if any(map(MASTER.fullmatch, found)) else []


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where weights are missing."""
    step, assembly = step_of(source), Assembly()
    model = opened(source, step.models[0], limits)
    held = attributes(model.root)
    shapes = {name: shape for group in items(held.get("param_shapes")) for name, shape in shapes_in(group).items()}
    buffers, found = {text(name) for name in items(held.get("buffer_names"))}, dict[str, Node]()
    for file in source.files:
        match = MASTER.fullmatch(file)
        name = match["name"] if match else ""
        if name in shapes or (name and step.parts > 1 and name not in buffers):
            found[name] = _weight(source, file, shapes.get(name), assembly, limits)
    missing = next((name for name in shapes if name not in found), None)
    if missing is not None:
        raise FormatError(f"{WEIGHTS}/{missing}/fp32.pt is missing, the weights of a parameter: copy it here")
    if step.is_stage3:
        found |= frozen(source, step, held, assembly, limits)
    found |= shared(held, found)
    rest = attributes(held["module"]).keys() - found.keys() - buffers
    if rest and step.parts > 1:
        raise UnsupportedError(f"{min(rest)} was not trained, and each model file has only a part of it: let DeepSpeed load it")
    root = state_dict(assembly.graft(model, step.models[0]), found, step.is_stage3)
    states = sum(
        file.size for path, file in source.files.items() if not MODEL.fullmatch(base(path)) and not MASTER.fullmatch(path)
    )
    unread = [Unread("optimizer", states, Role.TRAINING)] if states else []
    return assembly.folder(NAME, source, root, limits, [Fact("parameters", f"{len(shapes):,}")], unread)


def _weight(source: FolderSource, file: str, shape: tuple[int, ...] | None, assembly: Assembly, limits: Limits) -> Node:
    """The tensor of a file, which stage 3 writes flat."""
    part = opened(source, file, limits)
    found = view(part, part.root) or view(part, lookup(part.root, "param"))
    if found is None:
        raise FormatError(f"{file} is no tensor and has none under the key param")
    if shape is not None and math.prod(shape) == math.prod(found.shape) and found.stored.stride == contiguous(found.shape):
        found = _reshaped(found, shape)
    return assembly.tensor(file, found.dtype, found.shape, [found.piece((0,) * len(found.shape))])


def _reshaped(one: View, shape: tuple[int, ...]) -> View:
    return one._replace(shape=shape, stored=Stored(one.stored.payload, one.stored.offset, contiguous(shape)))
