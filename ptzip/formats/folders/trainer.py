"""The folder of a transformers `Trainer`, `checkpoint-500`: weights, and beside them the states of its training.

The object is the state dict that `from_pretrained` loads (transformers `trainer.py`, `_save_checkpoint`).
"""

import re
from collections import Counter

from ptzip.formats.folders.assembly import Assembly, Fact, Folder, Role, Unread
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pretrained import WEIGHTS, weights_files
from ptzip.formats.folders.sharded_index import state_dict
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits

NAME = "transformers Trainer folder"
STATE = "trainer_state.json"
TRAINING = re.compile(r"(?:optimizer|scheduler|scaler|rng_state(?:_\d+)?)\.(?:pt|bin|pth)|training_args\.bin")

SHARDS = re.compile(r"global_step\d+|optimizer_\d+|pytorch_model_fsdp_\d+")
"""Folders in which DeepSpeed and FSDP keep the same training."""


def files(listing: Listing) -> list[str] | None:
    """The weights, those that are loaded before others, and the states of training; None where it is no such folder."""
    if listing.asked or STATE not in listing.names:
        return None
    weights = weights_files(listing)
    below = [f"{name}/{file}" for name in filter(SHARDS.fullmatch, listing.names) for file in listing.below(name).names]
    shards = [path for path in below if (listing.path / path).is_file()]
    return [*weights, *filter(TRAINING.fullmatch, listing.names), *shards] if weights else None


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where it has not the shards that its index names."""
    loaded, *_ = source.files
    assembly = Assembly()
    weights, used = state_dict(source, loaded, assembly, limits)
    sizes = Counter[str]()
    for path, file in source.files.items():
        sizes[path.partition("/")[0]] += file.size if path not in used else 0
    unread = [
        Unread(name, size, Role.COPY if WEIGHTS.fullmatch(name) else Role.TRAINING) for name, size in sizes.items() if size
    ]
    return assembly.folder(NAME, source, weights, limits, [Fact("weights", loaded)], unread)
