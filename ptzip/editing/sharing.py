"""Storages with the same bytes, written once.

Rule: two storages are one only if every byte is the same, their dtype and their device too. Tensors that shared nothing before
do so afterwards: to whoever only reads them it is the same, but what is changed in the one is changed in the other.
"""

import hashlib
from typing import NamedTuple

from ptzip.editing.account import Step
from ptzip.editing.edit import Edit, renumber
from ptzip.editing.uses import Uses
from ptzip.source import Payload
from ptzip.tensors.cast import Cast
from ptzip.tensors.rebuild import StorageId


class Likeness(NamedTuple):
    """What two storages have in common before their bytes are looked at."""

    dtype: str
    location: str
    length: int
    source: str
    """The dtype that the bytes have before they are cast."""


def share(edit: Edit) -> None:
    """Let all references to storages with the same bytes name the first of them."""
    ids = Uses(edit.root).ids
    saved = 0
    for group in _alike(edit, ids):
        first: dict[bytes, str] = {}
        for key in group:
            same = first.setdefault(_digest(edit.payload(key)), key)
            if same != key:
                renumber(ids[key], same)
                saved += edit.payload(key).length
                edit.used = edit.used - {key} if edit.used is not None else None
    if saved:
        edit.reduce(Step.SHARED, saved)
        edit.note(Step.SHARED, "storages", "those with the same bytes are one")


def _alike(edit: Edit, ids: dict[str, list[StorageId]]) -> list[list[str]]:
    """Groups of storages that may be the same."""
    groups: dict[Likeness, list[str]] = {}
    for key, (reference, *_) in ids.items():
        payload = edit.payload(key)
        source = payload.dtype if isinstance(payload, Cast) else ""
        if payload.length:
            groups.setdefault(Likeness(reference.dtype.name, reference.location, payload.length, source), []).append(key)
    return [group for group in groups.values() if len(group) > 1]


def _digest(payload: Payload) -> bytes:
    """A hash of the bytes; of a cast those before it, so that nothing is cast twice."""
    raw = payload.base if isinstance(payload, Cast) else payload
    found = hashlib.blake2b(digest_size=32)
    for chunk in raw.chunks(0, raw.length):
        found.update(chunk)
    return found.digest()
