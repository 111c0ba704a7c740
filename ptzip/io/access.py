"""Who may read and write a file: what a new file takes over from the one that it replaces, or that it was made from.

A new file never allows more than that one did. What cannot be taken over is reported, and what it would have allowed is not.
"""

import contextlib
import os
import stat
import struct
from collections.abc import Callable

ACL = "system.posix_acl_access"
"""The access control list of a file on Linux: a version, then entries of a tag, permissions and an id (acl(5),
`include/uapi/linux/posix_acl_xattr.h`)."""

ACL_VERSION, ACL_ENTRY = 4, struct.Struct("<HHI")
OWNING_GROUP, MASK, NAMED = 0x04, 0x10, (0x02, 0x08)
"""Tags of entries; those of named users and groups may forbid what everybody else may do."""

ALLOWED = 0o777
"""Mode bits without set-user-ID and set-group-ID, which no copy gets."""

File = int | str
"""A descriptor or a path."""


def take_over(new: int, old: File, is_replaced: bool, most: int = ALLOWED) -> list[str]:
    """Give the new file the access of an old one; returns what it could not take over.

    A file that replaces another takes over everything: owner, group, mode, ACL and extended attributes. A copy gets the mode,
    and the group if that is possible. `most` are mode bits beyond which nothing is allowed.
    """
    if not hasattr(os, "fchown"):  # on Windows a file has the access of its folder
        return []
    status, acl = os.stat(old), _attribute(old, ACL) if is_replaced else None  # noqa: PTH116 (it may be a descriptor)
    lost = _tried("owner", _change_owner, new, status.st_uid, -1) if is_replaced else []
    lost_group = _tried("group", _change_owner, new, -1, status.st_gid)
    lost_acl = _tried("ACL", _set_acl, new, acl)
    mode = stat.S_IMODE(status.st_mode) if acl is not None and not lost_acl else mode_alone(old)
    if is_replaced and not lost and not lost_group:
        mode |= stat.S_IMODE(status.st_mode) & ~ALLOWED
    if lost_group:
        mode &= ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    lost_mode = _tried("permissions", _change_mode, new, mode & (most | ~ALLOWED))
    return [*lost, *lost_group, *lost_acl, *_copy_attributes(new, old), *lost_mode] if is_replaced else lost_mode


def mode_alone(file: File) -> int:
    """The mode bits that say who may do what, if there were no ACL."""
    acl, mode = _attribute(file, ACL), stat.S_IMODE(os.stat(file).st_mode) & ALLOWED  # noqa: PTH116 (as above)
    return mode if acl is None else _without_acl(mode, acl)


def _tried(what: str, change: Callable[..., None], *arguments: object) -> list[str]:
    """Change something; returns what that is where it is not possible."""
    try:
        change(*arguments)
    except (OSError, AttributeError):  # each system lacks some of the functions
        return [what]
    return []


def _change_owner(new: int, user: int, group: int) -> None:
    status = os.fstat(new)
    if user not in (-1, status.st_uid) or group not in (-1, status.st_gid):
        os.fchown(new, user, group)


def _change_mode(new: int, mode: int) -> None:
    if stat.S_IMODE(os.fstat(new).st_mode) != mode:
        os.fchmod(new, mode)


def _set_acl(new: int, acl: bytes | None) -> None:
    """Set an ACL, or remove the one that the folder gave the file."""
    if acl is not None:
        os.setxattr(new, ACL, acl)
    elif _attribute(new, ACL) is not None:
        os.removexattr(new, ACL)


def _without_acl(mode: int, acl: bytes) -> int:
    """Mode bits that allow nobody more than the ACL does: the group of the mode is its mask, and an entry may forbid."""
    group = others = stat.S_IRWXO
    for tag, allowed, _ in ACL_ENTRY.iter_unpack(acl[ACL_VERSION:]):
        group &= allowed if tag in (OWNING_GROUP, MASK, *NAMED) else group
        others &= allowed if tag in NAMED else others
    return mode & (stat.S_IRWXU | group << 3 | others)


def _copy_attributes(new: int, old: File) -> list[str]:
    """Copy the extended attributes except the ACL; returns those that cannot be copied."""
    values = {name: _attribute(old, name) for name in _attributes(old) if name != ACL}
    differing = {name: value for name, value in values.items() if value is not None and value != _attribute(new, name)}
    return [lost for name, value in differing.items() for lost in _tried(f"attribute {name}", os.setxattr, new, name, value)]


def _attributes(file: File) -> list[str]:
    with contextlib.suppress(OSError, AttributeError):  # only Linux has the functions
        return os.listxattr(file)
    return []


def _attribute(file: File, name: str) -> bytes | None:
    with contextlib.suppress(OSError, AttributeError):  # as above
        return os.getxattr(file, name)
    return None
