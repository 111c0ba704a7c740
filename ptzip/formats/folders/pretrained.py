"""The names of the files in which transformers, diffusers and peft save weights, and which of them `from_pretrained` loads.

A folder may have the same weights several times: in safetensors and as a pickle, in one file and in shards, and in variants
such as `model.fp16.safetensors` (transformers `modeling_utils.py`, diffusers `utils/constants.py`, `utils/hub_utils.py`).
"""

import re

from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.sharded_index import INDEX, shards

STEM = r"(?:adapter_|(?:diffusion_)?pytorch_)?model"
WEIGHTS = re.compile(rf"{STEM}[-.](?:.*[-.])?(?:safetensors|bin)(?:\.index(?:\..+)?\.json)?")
NO_VARIANT = re.compile(rf"{STEM}\.(?:safetensors|bin)(?:\.index\.json)?")
SHARD = re.compile(r".*-\d{5}-of-\d{5}.*")

SAFETENSORS, DIFFUSERS = ".safetensors", "diffusion_"


def weights_files(listing: Listing) -> list[str]:
    """All files of weights in a folder: first what is loaded, a file or an index with its shards; none where nothing is."""
    found = [name for name in listing.names if WEIGHTS.fullmatch(name)]
    whole = [name for name in found if not SHARD.fullmatch(name)]
    if not whole:
        return []
    chosen = min(whole, key=_preference)
    return list(dict.fromkeys([chosen, *(shards(listing, chosen) if INDEX.fullmatch(chosen) else ()), *found]))


def _preference(name: str) -> tuple[bool, bool, bool]:
    """A sort key. With several of one kind, transformers loads the file, and diffusers the shards with the index."""
    is_index = INDEX.fullmatch(name) is not None
    return NO_VARIANT.fullmatch(name) is None, SAFETENSORS not in name, is_index != name.startswith(DIFFUSERS)
