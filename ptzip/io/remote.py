"""Files at URLs, read through fsspec: a few requests for parts of a file, all of them of one version of it.

What protocols there are, and where their credentials come from, is fsspec's business and that of the packages it uses.
"""

import contextlib
import errno
import functools
import os
import threading
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from ptzip.errors import UnsupportedError
from ptzip.io.block_cache import BLOCK, BlockCache
from ptzip.io.remote_errors import NoRangesError, repeated, translated
from ptzip.io.sources import BaseSource, DescriptorSource, Source, changed, closed, ends_early
from ptzip.io.urls import URL, is_chain, redacted

TAIL = 1 << 18
"""Bytes at the end of a file that are fetched at once: the directory of a zip with two thousand records."""

NEAR = 1 << 20
"""Files of at most so many bytes are fetched as a whole."""

CONNECT_SECONDS, READ_SECONDS = 10, 30
"""How long a connection may take, and how long a server may send nothing."""

PACKAGES = {
    **dict.fromkeys(("http", "https"), "'ptzip[remote]'"),
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az", "adl"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "hf": "huggingface_hub",
}
"""What to install for a scheme, beside fsspec."""

VERSION = (
    *("ETag", "etag", "VersionId", "generation", "blob_id", "size"),
    *("LastModified", "Last-Modified", "last_modified", "mtime", "created"),
)
"""The keys of fsspec's `info` of which one is another where a file is another, by the names of each protocol."""

PATTERN = ("*", "[")
"""Signs in the path of a URL that make it a pattern; `?` begins its query."""

Request = Callable[[int, int], bytes]
"""Fetches the bytes from one offset to another."""


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of fsspec for a URL, and the path in it. Raises UnsupportedError where a package is missing."""
    if is_chain(url):
        raise UnsupportedError("this is a chain of URLs, which fsspec joins by `::`: name the file itself")
    scheme = url.partition("://")[0].lower()
    try:
        import fsspec  # installed by the extra `remote` only
    except ImportError:
        raise _missing(scheme, "`pip install 'ptzip[remote]'`") from None
    try:
        kind = fsspec.get_filesystem_class(scheme)
        options = _http_options() if scheme in ("http", "https") else {}
        return kind(**{**options, **kind._get_kwargs_from_urls(url)}), kind._strip_protocol(url)
    except ImportError as error:
        raise _missing(scheme, f"`pip install {PACKAGES[scheme]}`" if scheme in PACKAGES else str(error)) from None
    except ValueError:
        raise UnsupportedError(f"fsspec knows no protocol {scheme}://") from None
    except (TypeError, AttributeError):  # what it raises where arguments are missing
        raise UnsupportedError(f"a URL alone does not say where a file of {scheme}:// is: name it at its own URL") from None
    except Exception as error:
        raise translated(error, url) from None


def _missing(scheme: str, advice: str) -> UnsupportedError:
    return UnsupportedError(f"what reads {scheme}:// is not installed: {advice}")


def _http_options() -> dict[str, Any]:
    """Timeouts, and the proxies of the environment, unless fsspec's own settings say otherwise."""
    import aiohttp  # as fsspec does for HTTP
    from fsspec.config import conf

    waits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    return {"timeout": waits, "client_kwargs": {"trust_env": True}, **conf.get("http", {}), **conf.get("https", {})}


class RemoteFile:
    """One version of the file at a URL. `size` is None where the server does not say; errors are those of `translated`."""

    def __init__(self, url: str) -> None:
        self.name, self._url = redacted(url), url
        self._fs, self._path = filesystem(url)
        self._lock = threading.Lock()
        info = self._info()
        self.size: int | None = info["size"]
        self.has_ranges = self.size is not None and info.get("partial", True)
        self.version = _version(info)
        self._fetch = self._fetcher(info) if self.size and self.has_ranges else None
        """Makes one request; where it does not name the version itself, that is asked for after each."""

    def _info(self) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            self._fs.invalidate_cache(self._path)
            found: dict[str, Any] = self._fs.info(self._path)
            return found

        info = repeated(ask, self._url)
        if info.get("type") == "directory":
            raise IsADirectoryError(errno.EISDIR, "this is a folder: end its name with / for the files in it", self.name)
        return info

    def _fetcher(self, info: dict[str, Any]) -> Request:
        from fsspec.asyn import AsyncFileSystem  # here and below: fsspec is there by now
        from fsspec.spec import AbstractBufferedFile

        if "url" in info:
            address = info["url"] if redacted(info["url"]) != self.name else self._path  # where redirects lead
            tag = info.get("ETag", "")
            is_pinned = tag and not tag.startswith("W/")  # weak tags match nothing (RFC 9110, 13.1.1)
            condition = {"If-Match": tag} if is_pinned else {}
            headers = {**self._fs.kwargs.get("headers", {}), **condition, "Accept-Encoding": "identity"}
            opened = self._fs.open(address, cache_type="none", size=self.size, headers=headers)
            return opened._fetch_range if is_pinned else self._checked(opened._fetch_range)
        if isinstance(self._fs, AsyncFileSystem):
            opened = self._fs.open(self._path, cache_type="none")
            is_s3 = isinstance(opened, AbstractBufferedFile) and "ETag" in info
            if is_s3 and getattr(opened, "read_kw", {}).get("IfMatch") == info["ETag"]:
                return opened._fetch_range  # type: ignore[no-any-return]
        return self._checked(functools.partial(self._fs.cat_file, self._path))

    def _checked(self, request: Request) -> Request:
        """A request after which the version is asked for, since the request itself does not name one."""

        def checked(start: int, stop: int) -> bytes:
            with self._lock:  # not all packages let threads share a connection
                data = request(start, stop)
                self.check_unchanged()
            return data

        return checked

    def fetch(self, start: int, stop: int) -> bytes:
        """The bytes of a part. Raises ChangedError where the file is another by now, NoRangesError where the server sends
        only whole files."""
        assert self._fetch is not None
        request = self._fetch

        def ask() -> bytes:
            try:
                data = request(start, stop)
            except ValueError:  # what fsspec's HTTP raises for it
                raise NoRangesError from None
            if len(data) != stop - start:
                raise ConnectionError(errno.ECONNRESET, f"the server sent {len(data)} bytes, expected {stop - start}")
            return data

        return repeated(ask, self._url)

    def download(self, copy: BinaryIO) -> None:
        """Write all bytes to a file."""

        def ask() -> None:
            copy.seek(0)
            copy.truncate()
            self._fs.get_file(self._path, copy)

        repeated(ask, self._url)
        copy.flush()

    def check_unchanged(self) -> None:
        """Raise ChangedError where the file at the URL is another one by now."""
        try:
            now = _version(self._info())
        except FileNotFoundError:
            raise changed("another program removed it") from None
        if now != self.version:
            raise changed("another program replaced it")


def _version(info: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{key}={info[key]}" for key in VERSION if info.get(key) is not None)


class RemoteSource(BaseSource):
    """The file at a URL. Any thread may read; what readers announce is fetched ahead of them."""

    def __init__(self, file: RemoteFile) -> None:
        assert file.size is not None
        self.name, self.size = file.name, file.size
        self._file = file
        self._blocks: BlockCache | None = BlockCache(file.fetch, file.size)
        self.is_distant = self.size > NEAR

    def prepare(self) -> None:
        """Fetch where every format begins, and where zips have their directory. Raises NoRangesError."""
        if self._blocks is not None and self.size:
            self._blocks.request(0, BLOCK if self.is_distant else self.size)
            self.read(max(self.size - TAIL, 0), min(TAIL, self.size))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if self._blocks is None:
            raise closed(self.name)
        if offset + len(buffer) > self.size:
            raise ends_early(offset, len(buffer), self.size - offset)
        self._blocks.read_into(offset, buffer)

    def expect(self, offset: int, length: int) -> None:
        if self._blocks is not None:
            self._blocks.expect(offset, min(offset + length, self.size))

    def check_unchanged(self, may_be_replaced: bool = False) -> None:
        if self._blocks is None:
            raise closed(self.name)
        self._file.check_unchanged()

    def close(self) -> None:
        self._blocks = None


def stamp(url: str) -> tuple[int, int] | None:
    """The size of the file at a URL in bytes, and the CRC-32 of what names its version; None where the server names none. Takes
    one request."""
    file = RemoteFile(url)
    names = [name for name in file.version if not name.startswith("size=")]
    return (file.size or 0, zlib.crc32("\0".join(names).encode())) if names else None


def open_remote(url: str) -> Source:
    """The file at a URL as a source: read in parts or, where the server sends only whole files, from a temporary copy.

    Raises UnsupportedError where a package is missing, ChangedError where the file changes meanwhile, or OSError.
    """
    file = RemoteFile(url)
    with contextlib.suppress(NoRangesError):
        if file.has_ranges:
            source = RemoteSource(file)
            source.prepare()
            return source
    return _downloaded(file)


def _downloaded(file: RemoteFile) -> Source:
    import logging  # here and below, since most servers send parts
    import tempfile

    size = "" if file.size is None else f" ({file.size:,} bytes)"
    logging.getLogger("ptzip.remote").warning("%s: the server sends only whole files, so it is downloaded%s", file.name, size)
    with tempfile.TemporaryFile() as copy:
        file.download(copy)
        return DescriptorSource(os.dup(copy.fileno()), file.name)


def expand_remote(pattern: str) -> list[str]:
    """The URLs of the files that a URL names: those that match `*`, `**` and `[...]`, all below a folder, whose URL ends with
    a slash, or the URL itself. Raises what `open_remote` raises.
    """
    named = URL.match(pattern)
    is_folder = pattern.endswith("/")
    if not is_folder and not (named and any(sign in named["path"] for sign in PATTERN)):
        return [pattern]
    files, path = filesystem(pattern)
    root = pattern.rstrip("/").removesuffix(path.rstrip("/"))
    found = repeated(lambda: files.find(path) if is_folder else _matching(files, path), pattern)
    if not found:
        raise FileNotFoundError(errno.ENOENT, "there are no such files", redacted(pattern))
    return [f"{root}{name}" for name in sorted(found)]


def _matching(files: Any, path: str) -> list[str]:
    found = files.glob(path, detail=True)
    return [name for name, info in found.items() if info["type"] != "directory"]
