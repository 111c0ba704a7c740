"""Storages with the same bytes, dtype and device, written once.

Tensors that shared nothing share a storage afterwards: the same to read, but a change of one changes the other.
"""

import hashlib
from dataclasses import replace

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.editing.storage_users import StorageUsers, renumber
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import Payload
from ptzip.io.workers import share
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
    digests = _digests({key: edit.payload(key) for keys in groups.values() if len(keys) > 1 for key in keys})
    for (_, _, length), keys in groups.items():
        first: dict[bytes, str] = {}
        for key in keys if len(keys) > 1 else ():
            same = first.setdefault(digests[key], key)
            if same != key:
                renumber(ids[key], same)
                saved += length
    if saved:
        edit.account.reductions[Category.SHARED] += saved
        edit.account.change(Category.SHARED, "storages", "those with the same bytes are one")


def _digests(payloads: dict[str, Payload]) -> dict[str, bytes]:
    """A hash of the bytes to be written of each; losses of a cast are counted when it is written, not here."""
    found = dict[str, bytes]()

    def work(key: str, buffers: Buffers) -> None:
        payload, digest = payloads[key], hashlib.blake2b(digest_size=32)
        uncounted = replace(payload, losses=[]) if isinstance(payload, Cast) else payload
        for chunk in uncounted.chunks(0, uncounted.length, buffers):
            digest.update(chunk)
        found[key] = digest.digest()

    share(work, payloads)
    return found
