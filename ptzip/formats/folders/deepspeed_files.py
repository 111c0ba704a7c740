"""The files of DeepSpeed: `latest` names the folder of a step, which has model files and the shards of the optimizer."""

import re
from typing import NamedTuple

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.folders.listing import Listing
from ptzip.io.folders import FolderSource

LATEST = "latest"
LONGEST_TAG = 256

STATES = re.compile(r".*(model|optim)_states\.pt")
STAGE3 = "zero_pp_rank_"
MODEL = re.compile(r"(?:zero_pp_rank_(?P<rank>\d+)_)?mp_rank_(?P<part>\d+)_model_states\.pt")
SHARD = re.compile(r"(?:bf16_|fp16_)?zero_pp_rank_(?P<rank>\d+)_mp_rank_(?P<part>\d+)_?optim_states\.pt")
"""Releases before 0.3.17 write no underscore before `optim_states`."""

CONVERT = "let DeepSpeed gather it (`ds_to_universal.py`), and open the folder that this writes"


class Step(NamedTuple):
    """The files of one step: model files and shards by the ranks of processes."""

    models: dict[int, str]
    shards: dict[int, str]
    parts: int
    """In how many each tensor is split, before the optimizer is."""
    is_stage3: bool


def files(listing: Listing) -> list[str] | None:
    """The files of the step that `latest` names, or of the folder itself, a model file first; None where it has none.

    Raises FormatError where the folder of the step is missing, but others are there.
    """
    tag = tag_in(listing, LATEST) if listing.is_about(LATEST) else ""
    if tag and tag not in listing.names:
        others = [name for name in listing.names if _states(listing.below(name))]
        if not others:
            return None
        raise FormatError(f"{LATEST} names {tag}, which is not in this folder: copy it here, or open {others[-1]}")
    if tag:
        return [f"{tag}/{name}" for name in _states(listing.below(tag))] or None
    return (_states(listing) or None) if not listing.asked else None


def tag_in(listing: Listing, index: str) -> str:
    """The name in an index; "" where there is no such file."""
    return listing.head(index, LONGEST_TAG).decode("utf-8", "replace").strip()


def _states(listing: Listing) -> list[str]:
    """The names of states in the folder of a step; none of any other folder."""
    found = [name for name in listing.names if STATES.fullmatch(name)]
    is_step = any(MODEL.fullmatch(name) or SHARD.fullmatch(name) for name in found)
    return sorted(found, key=lambda name: MODEL.fullmatch(name) is None) if is_step else []


def step_of(source: FolderSource) -> Step:
    """The files by their ranks. Raises UnsupportedError for those of layers or experts, FormatError where there is no model
    file."""
    models, shards, parts = dict[int, str](), dict[int, str](), set[int]()
    for file in filter(STATES.fullmatch, source.files):
        model, shard = MODEL.fullmatch(base(file)), SHARD.fullmatch(base(file))
        found = model or shard
        if found is None:
            raise UnsupportedError(f"{file} is of a model that is split into layers or experts: {CONVERT}")
        parts.add(int(found["part"]))
        (models if model else shards).setdefault(int(found["rank"] or 0), file)
    if 0 not in models:
        raise FormatError("the model file of this folder is missing, without which nothing names the tensors: copy it here")
    return Step(models, shards, len(parts), base(models[0]).startswith(STAGE3))


def base(file: str) -> str:
    """The name of a file, without its folder."""
    return file.rpartition("/")[2]
