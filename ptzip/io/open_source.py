"""Opening what is given to a command as a source."""

import os

from ptzip.io.sources import BytesSource, FileObjectSource, FileSource, MemberOf, Openable, Source
from ptzip.io.urls import is_url


def open_source(source: Openable) -> Source:
    """A path, a URL, bytes or a binary file object as a source, which the caller closes. A file object stays open then.

    A source is opened again on the same open file, so that all results describe one version of it.

    Raises FormatError where a path leads to something other than a regular file, OSError where it cannot be opened,
    UnsupportedError where the packages for a URL are not installed.
    """
    if isinstance(source, str) and is_url(source):
        from ptzip.io.remote import open_remote  # it loads fsspec

        return open_remote(source)
    if isinstance(source, str | os.PathLike):
        return FileSource(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return BytesSource(bytes(source))
    if isinstance(source, Source):
        import copy  # few sources are opened more than once

        return copy.copy(source)
    if isinstance(source, MemberOf) or not (hasattr(source, "read") and hasattr(source, "seek")):
        raise TypeError(f"cannot open {type(source).__name__}: expected a path, a URL, bytes, or a binary file object")
    return FileObjectSource(source)
