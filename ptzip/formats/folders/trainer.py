"""The folder of a transformers `Trainer`, `checkpoint-500`: weights, and beside them the states of its training.

The object is the state dict that `from_pretrained` loads (transformers `trainer.py`, `_save_checkpoint`).
"""

import re

from ptzip.formats.folders.assembly import Assembly, Fact, Folder, Role, Unread
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pretrained import WEIGHTS, weights_files
from ptzip.formats.folders.sharded_index import state_dict
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits

NAME = "transformers Trainer folder"
STATE = "trainer_state.json"
TRAINING = re.compile(r"(?:optimizer|scheduler|scaler|rng_state(?:_\d+)?)\.(?:pt|bin|pth)|training_args\.bin")


def files(listing: Listing) -> list[str] | None:
    """The weights, those that are loaded before others, and the states of training; None where it is no such folder."""
    if listing.asked or STATE not in listing.names:
        return None
    weights = weights_files(listing)
    return [*weights, *filter(TRAINING.fullmatch, listing.names)] if weights else None


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where it has not the shards that its index names."""
    loaded, *_ = source.files
    assembly = Assembly()
    weights, used = state_dict(source, loaded, assembly, limits)
    unread = [Unread(path, file.size, _role(path)) for path, file in source.files.items() if path not in used]
    return assembly.folder(NAME, source, weights, limits, [Fact("weights", loaded)], unread)


def _role(path: str) -> Role:
    return Role.COPY if WEIGHTS.fullmatch(path) else Role.TRAINING
