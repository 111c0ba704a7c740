"""Errors as lines for people."""

import os

from ptzip.io.sources import split_member
from ptzip.io.system import reason


def message(error: Exception, name: str) -> str:
    """One line for people; what the system says is followed by the file it is about, where that is not `name`."""
    if isinstance(error, FileExistsError):
        return f"{error.filename} already exists (use -f to overwrite)"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    own = {os.path.normpath(name), os.path.normpath(split_member(name)[0])}
    is_other = error.filename is not None and os.path.normpath(error.filename) not in own
    text = reason(error)
    return text[:1].lower() + text[1:] + (f": {error.filename}" if is_other else "")
