"""Storages with the same bytes, dtype and device, written once.

Tensors that shared nothing share a storage afterwards: the same to read, but a change of one changes the other.
"""

import hashlib
from dataclasses import replace

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.editing.storage_users import StorageUsers, renumber
from ptzip.io.payloads import Payload
from ptzip.tensors.cast import Cast


def dedupe(edit: Edit, location: str | None = None) -> None:
    """Make all ids of storages with the same bytes name the first of them.

    `location` is the device that all storages will load to, None where each stays on its own. Storages are read only where
    another one has the same dtype, device and length.
    """
    ids, saved = StorageUsers(edit.root).ids, 0
    groups: dict[tuple[str, str, int], list[str]] = {}
    for key, (reference, *_) in ids.items():
        length = edit.payload(key).length
        if length:
            groups.setdefault((reference.dtype.name, location or reference.location, length), []).append(key)
    for (_, _, length), keys in groups.items():
        first: dict[bytes, str] = {}
        for key in keys if len(keys) > 1 else ():
            same = first.setdefault(_digest(edit.payload(key)), key)
            if same != key:
                renumber(ids[key], same)
                saved += length
    if saved:
        edit.account.reductions[Category.SHARED] += saved
        edit.account.change(Category.SHARED, "storages", "those with the same bytes are one")


def _digest(payload: Payload) -> bytes:
    """A hash of the bytes to be written; losses of a cast are counted when it is written, not here."""
    uncounted = replace(payload, losses=[]) if isinstance(payload, Cast) else payload
    digest = hashlib.blake2b(digest_size=32)
    for chunk in uncounted.chunks(0, uncounted.length):
        digest.update(chunk)
    return digest.digest()
