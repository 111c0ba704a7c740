"""Storages with the same bytes, written once.

Rule: two storages are one only if every byte is the same, their dtype and their device too. Tensors that shared nothing before
do so afterwards: to whoever only reads them it is the same, but what is changed in the one is changed in the other.
"""

import hashlib
from dataclasses import replace
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit, renumber
from ptzip.editing.storage_users import Uses
from ptzip.io.payloads import Payload
from ptzip.tensors.cast import Cast
from ptzip.tensors.references import StorageRef


class Likeness(NamedTuple):
    """What two storages have in common before their bytes are looked at."""

    dtype: str
    location: str
    length: int


def share(edit: Edit, location: str | None = None) -> None:
    """Let all references to storages with the same bytes name the first of them; `location` is where all of them will be
    loaded to, None where each stays on its device."""
    ids = Uses(edit.root).ids
    saved = 0
    for group in _alike(edit, ids, location):
        first: dict[bytes, str] = {}
        for key in group:
            same = first.setdefault(_digest(edit.payload(key)), key)
            if same != key:
                renumber(ids[key], same)
                saved += edit.payload(key).length
                edit.used = edit.used - {key} if edit.used is not None else None
    if saved:
        edit.reduce(Category.SHARED, saved)
        edit.note(Category.SHARED, "storages", "those with the same bytes are one")


def _alike(edit: Edit, ids: dict[str, list[StorageRef]], location: str | None) -> list[list[str]]:
    """Groups of storages that may be the same."""
    groups: dict[Likeness, list[str]] = {}
    for key, (reference, *_) in ids.items():
        payload = edit.payload(key)
        if payload.length:
            place = reference.location if location is None else location
            groups.setdefault(Likeness(reference.dtype.name, place, payload.length), []).append(key)
    return [group for group in groups.values() if len(group) > 1]


def _digest(payload: Payload) -> bytes:
    """A hash of the bytes as they will be written; what a cast loses is counted when they are."""
    uncounted = replace(payload, losses=[]) if isinstance(payload, Cast) else payload
    found = hashlib.blake2b(digest_size=32)
    for chunk in uncounted.chunks(0, uncounted.length):
        found.update(chunk)
    return found.digest()
