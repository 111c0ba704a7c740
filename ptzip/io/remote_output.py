"""Output to URLs: files are complete in a temporary folder before the first byte is sent, and visible when all were sent.

A zip is not written in order, and may be written twice, so it cannot be sent while it is made.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptzip.errors import PtzipError, UnsupportedError
from ptzip.io.remote import filesystem
from ptzip.io.remote_errors import translated
from ptzip.io.unfinished import UNFINISHED, WRITTEN, temporary_folder
from ptzip.io.urls import redacted

PART = 16 << 20
"""Bytes of a part of an upload: S3 takes 10,000 parts, so files of up to 160 GB."""


class RemoteOutput:
    """New files in the folder of a URL. Raises FileExistsError where there is one, unless with `overwrite`."""

    def __init__(self, url: str, overwrite: bool) -> None:
        self.folder = redacted(url).rpartition("/")[0]
        self.name = redacted(url).rpartition("/")[2]
        if not self.name:
            raise IsADirectoryError(errno.EISDIR, "expected the name of a file", redacted(url))
        if url.lower().startswith(("http://", "https://")):  # what a server does with PUT or POST is its own affair
            raise self._not_written()
        self._url, self._overwrite = url, overwrite
        self._fs, path = filesystem(url)
        self._folder = path.rpartition("/")[0]
        self._uploads = list[Any]()
        with self._translated(self.name):
            self._check_free(self.name)

    def send(self, files: list[Path]) -> None:
        """Upload files, and let all of them appear; if one fails, none does."""
        UNFINISHED.append(self.discard)
        try:
            for file in files:
                with self._translated(file.name):
                    self._check_free(file.name)
                    self._upload(file)
            self._make_folder()
            while self._uploads:
                with self._translated(files[-len(self._uploads)].name):
                    self._uploads[0].commit()
                    del self._uploads[0]
        finally:
            self.discard()
            UNFINISHED.remove(self.discard)

    def _upload(self, file: Path) -> None:
        upload = self._fs.open(f"{self._folder}/{file.name}", "wb", block_size=PART, autocommit=False)
        self._uploads.append(upload)
        with file.open("rb") as content:
            while piece := content.read(PART):
                upload.write(piece)
        upload.close()

    def _make_folder(self) -> None:
        """Make the folder where there are any: a bucket has none, and fsspec would make the bucket."""
        from fsspec.asyn import AsyncFileSystem  # here, since it is installed by now

        if not isinstance(self._fs, AsyncFileSystem):
            with self._translated(""):
                self._fs.makedirs(self._folder, exist_ok=True)

    def _check_free(self, name: str) -> None:
        self._fs.invalidate_cache()
        if not self._overwrite and self._fs.exists(f"{self._folder}/{name}"):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), f"{self.folder}/{name}")

    def discard(self) -> None:
        """Take back what was sent and has not appeared."""
        while self._uploads:
            upload = self._uploads.pop()
            with contextlib.suppress(Exception):  # the server removes what nobody completes
                upload.discard()
            with contextlib.suppress(AttributeError):  # fsspec's own files are completed once nobody refers to them
                upload.closed = True

    def _not_written(self) -> UnsupportedError:
        return UnsupportedError(f"nothing is written to {self.folder}/: name a bucket, or a path")

    @contextlib.contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except (PtzipError, FileExistsError):
            raise
        except NotImplementedError:
            raise self._not_written() from None
        except Exception as error:
            raise translated(error, self._url, f"{self.folder}/{name}") from None


@contextlib.contextmanager
def local_path_of(url: str, overwrite: bool) -> Iterator[Path]:
    """A path in a temporary folder: the files that the block leaves there appear beside the URL at its end, unless it raises.

    Errors of the block that name the path name the URL instead.
    """
    output, count = RemoteOutput(url, overwrite), len(WRITTEN)
    with temporary_folder() as folder:
        try:
            yield Path(folder, output.name)
        except PtzipError as error:
            error.message = error.message.replace(folder, output.folder)
            raise
        except OSError as error:
            if str(error.filename or "").startswith(folder):
                raise OSError(error.errno, error.strerror, str(error.filename).replace(folder, output.folder)) from error
            raise
        files = sorted(Path(folder).iterdir())
        del WRITTEN[count:]
        output.send(files)
        WRITTEN.extend(f"{output.folder}/{file.name}" for file in files)
