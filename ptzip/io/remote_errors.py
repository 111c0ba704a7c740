"""What goes wrong with files at URLs: what is tried again, and what fsspec's errors become.

What fsspec and the packages below it say may have a URL in it, with its credentials.
"""

import errno
import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

from ptzip.errors import PtzipError
from ptzip.io.sources import changed
from ptzip.io.urls import redacted, redacted_text

PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds before a request is repeated; each is up to twice as long, so that clients do not come back together."""

LONGEST_PAUSE = 30
"""Seconds that a server may ask for."""

MEANT_TO_PASS = frozenset((408, 425, 429))
"""Errors of HTTP that go away, beside all of servers (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4)."""

Answer = TypeVar("Answer")


class NoRangesError(ValueError):
    """The server sends only whole files."""


def repeated(ask: Callable[[], Answer], url: str) -> Answer:
    """The answer to a request, which is repeated while it fails as it may do for a moment. Errors are those of `translated`."""
    pauses = iter(PAUSES)
    while True:
        try:
            return ask()
        except Exception as error:
            pause = next(pauses, 0.0)
            if not pause or not _may_pass(_cause(error)):
                raise translated(error, url) from None
            time.sleep(_asked_pause(_cause(error)) or pause * (1 + random.random()))


def _cause(error: BaseException) -> BaseException:
    """What fsspec's HTTP reports as a missing file, whatever it was."""
    inner = error.__cause__
    return inner if isinstance(error, FileNotFoundError) and inner is not None else error


def _status(error: BaseException) -> int:
    """The status of HTTP, 0 where the error is of another kind."""
    status = getattr(error, "status", 0)
    return status if isinstance(status, int) else 0


def _bad_redirect(error: BaseException) -> str:
    """Where a server of HTTP leads nowhere, in the names of aiohttp, which may be missing; "" for other errors."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "TooManyRedirects" in kinds:
        return "the server redirects without end"
    return "the server redirects to what is no URL of HTTP" if "RedirectClientError" in kinds else ""


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment."""
    if _bad_redirect(error):
        return False
    if status := _status(error):
        return status >= 500 or status in MEANT_TO_PASS
    from fsspec.exceptions import FSTimeoutError  # installed by the extra `remote` only

    missing = (FileNotFoundError, PermissionError, IsADirectoryError)
    lasting = (*missing, PtzipError, ImportError, NotImplementedError, ValueError, TypeError)
    return isinstance(error, FSTimeoutError) or not (isinstance(error, lasting) or _is_expired(error))


def _asked_pause(error: BaseException) -> float:
    """The seconds that a server asks for (RFC 9110, 10.2.3); 0 where it names none, or a date."""
    asked = (getattr(error, "headers", None) or {}).get("Retry-After", "")
    return min(float(asked), LONGEST_PAUSE) if asked.isdecimal() else 0.0


def _is_expired(error: BaseException) -> bool:
    """Whether a file is another by now, in the words of s3fs."""
    return type(error).__name__ == "FileExpired"


def translated(error: BaseException, url: str, name: str = "") -> Exception:
    """The error as ptzip raises it, about the file at a URL, or about one of another name, which may be shown."""
    error, name = _cause(error), name or redacted(url)
    status = _status(error)
    if isinstance(error, PtzipError | NoRangesError | IsADirectoryError):
        return error
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    if isinstance(error, PermissionError) or status in (401, 403):
        return PermissionError(errno.EACCES, "access denied: check the credentials for this URL", name)
    if _is_expired(error) or status in (412, 416):
        return changed("another program replaced it")
    if isinstance(error, TimeoutError):
        return TimeoutError(errno.ETIMEDOUT, "the server does not answer", name)
    if why := _bad_redirect(error):
        return OSError(errno.EIO, why, name)
    if status:
        return OSError(errno.EIO, f"the server answers with error {status}", name)
    return OSError(errno.EIO, redacted_text(getattr(error, "strerror", None) or str(error), url) or type(error).__name__, name)
