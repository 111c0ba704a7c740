"""Folders of frameworks around folders of torch.distributed.checkpoint, as the frameworks' own consolidators read them."""

import re

from ptzip.formats.detect import open_container
from ptzip.formats.folders import dcp
from ptzip.formats.folders.assembly import Assembly, Folder, Items, Role, Tree, Unread
from ptzip.formats.folders.dcp_index import Index
from ptzip.formats.folders.listing import Listing
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.nodes import pairs, text

LIGHTNING = "Lightning FSDP folder"
META = "meta.pt"
VERSION = "pytorch-lightning_version"
OPTIMIZER = re.compile(r"optimizer_\d+")

ACCELERATE = "accelerate FSDP folder"
ACCELERATED = re.compile(r"(?:pytorch_model_fsdp|optimizer)_(\d+)")
MODEL = "pytorch_model_fsdp_"

MEGATRON = "Megatron torch_dist folder"
CONFIG, TORCH_DIST = "metadata.json", b'"torch_dist"'
COMMON = "common.pt"
TRAINING = re.compile(r"(?:chained_\d+\.)?(?:optimizer\.|rng_state|rerun_state).*")
"""The names of what only Megatron's own loader puts together, for as many processes as there are then."""


def lightning_files(listing: Listing) -> list[str] | None:
    """A folder with a file beside the index for everything but model and optimizers (`lightning/fabric/strategies/fsdp.py`)."""
    found = dcp.files(listing) if META in listing.names else None
    return [*found, META] if found else None


def read_lightning(source: FolderSource, limits: Limits) -> Folder:
    """Open it as `consolidate_checkpoint` of lightning.pytorch writes it, or that of lightning.fabric what Fabric saved."""
    assembly = Assembly()
    tree, index = dcp.object_of(source, "", assembly, limits)
    meta = open_container(source.files[META], limits).parts[0]
    extra = [(text(key), value) for key, value in pairs(assembly.graft(meta, META))]
    tree.root |= {name: value for name, value in extra if name is not None}
    if VERSION in tree.root:
        _as_trainer_saves(tree)
    return assembly.folder(LIGHTNING, source, tree.node(), limits, dcp.facts(source, index))


def _as_trainer_saves(tree: Tree) -> None:
    """Name the model and the optimizers as in a checkpoint of one file (`_format_checkpoint`)."""
    root = tree.root
    if "model" in root:
        root["state_dict"] = root.pop("model")
    names = [name for name in root if isinstance(name, str) and OPTIMIZER.fullmatch(name)]
    if names:
        root["optimizer_states"] = Items((number, root.pop(name)) for number, name in enumerate(names))


def accelerate_files(listing: Listing) -> list[str] | None:
    """A folder of folders, for each model and each optimizer (`accelerate/utils/fsdp_utils.py`)."""
    if listing.asked or not any(name.startswith(MODEL) for name in listing.names):
        return None
    below = [name for name in listing.names if ACCELERATED.fullmatch(name)]
    below.sort(key=lambda name: not name.startswith(MODEL))
    found = [f"{name}/{file}" for name in below for file in dcp.files(listing.below(name)) or ()]
    return found if any(file.startswith(MODEL) for file in found) else None


def read_accelerate(source: FolderSource, limits: Limits) -> Folder:
    """Open it as one object: the first model and its optimizer by their own keys, others with their numbers."""
    assembly, whole, indexes = Assembly(), Tree(), list[Index]()
    for below in dict.fromkeys(file.partition("/")[0] for file in source.files):
        tree, index = dcp.object_of(source, f"{below}/", assembly, limits)
        found = ACCELERATED.fullmatch(below)
        number = found[1] if found else "0"
        whole.root |= {key if number == "0" else f"{key}_{number}": value for key, value in tree.root.items()}
        indexes.append(index)
    return assembly.folder(ACCELERATE, source, whole.node(), limits, dcp.facts(source, *indexes))


def megatron_files(listing: Listing) -> list[str] | None:
    """A folder with Megatron's configuration, and what is the same in all processes (`dist_checkpointing/core.py`)."""
    is_megatron = CONFIG in listing.names and TORCH_DIST in listing.head(CONFIG, dcp.BEGINNING)
    found = dcp.files(listing) if is_megatron else None
    return [*found, *(name for name in listing.names if name == COMMON)] if found else None


def read_megatron(source: FolderSource, limits: Limits) -> Folder:
    """Open the weights, by the names that Megatron gives them in such a folder."""
    assembly = Assembly()
    tree, index = dcp.object_of(source, "", assembly, limits, TRAINING.fullmatch)
    size = sum(place.length for (name, _), place in index.places.items() if TRAINING.fullmatch(name))
    others = [Unread(COMMON, source.files[COMMON].size, Role.TRAINING)] if COMMON in source.files else []
    unread = [Unread("optimizer and random states", size, Role.TRAINING), *others] if size else others
    return assembly.folder(MEGATRON, source, tree.node(), limits, dcp.facts(source, index), unread)
