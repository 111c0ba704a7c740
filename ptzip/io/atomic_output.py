"""Atomic output: new files get their names when all of them are complete, and an error leaves nothing behind.

They are written in a folder beside them (`work_folder`), and none is placed where the source changed meanwhile.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ptzip.errors import EditError
from ptzip.io.access import ALLOWED, mode_alone, take_over
from ptzip.io.compression import compress, compression_named
from ptzip.io.folders import FolderSource
from ptzip.io.payloads import CountBytes, Payload
from ptzip.io.renames import rename_new, swap
from ptzip.io.sources import (
    DescriptorSource,
    FileSource,
    Identity,
    NamedSource,
    Source,
    about,
    changed,
    special,
    split_member,
    unchanged,
)
from ptzip.io.system import RENAMES_FREELY, renamed_silently
from ptzip.io.unfinished import UNFINISHED, WRITTEN
from ptzip.io.urls import is_url, redacted
from ptzip.io.work_folder import WorkFolder

WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class NewFile(Protocol):
    """A planned file of `size` bytes: its payloads are known, none is read yet."""

    @property
    def size(self) -> int: ...

    @property
    def payloads(self) -> list[Payload]: ...

    def write(self, descriptor: int, count_bytes: CountBytes | None = None) -> None: ...


class Output:
    """One new file, written at `path`, which becomes `target`. A symbolic link stays, and the file it leads to is replaced."""

    def __init__(self, target: Path, folder: WorkFolder, number: int) -> None:
        self.target = target
        self.real = Path(os.path.realpath(target))
        self.folder = folder
        self.name = str(number)
        self.descriptor = -1
        self._identity: Identity | None = None
        """Which file it is, once it is complete."""
        self._may_be_new = False

    @property
    def path(self) -> Path:
        return self.folder.path / self.name

    def check(self) -> None:
        """Raise EditError where the target is no regular file, and OSError where no file can be called so."""
        if why := renamed_silently(self.target):
            raise EditError(f"the output {self.target} would not be a file of that name: {why}; choose another name")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if kind := special(self.target):  # not of the real path: what /dev/stdout leads to need not have a name
                raise EditError(f"the output {self.target} is {kind}, expected a regular file")

    def open(self) -> None:
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)

    def write(self, file: NewFile, count_bytes: CountBytes | None = None) -> None:
        """Write the whole file, compressed if the target's name says so; a second call writes it anew."""
        with self.named():
            if self.size:  # ext4 starts to write a truncated file to the disk when it is closed
                os.ftruncate(self.descriptor, 0)
            if not compression_named(self.target):
                file.write(self.descriptor, count_bytes)
                return
            import tempfile  # few outputs are compressed

            with tempfile.TemporaryFile(dir=self.path.parent) as plain:  # a zip is not written in order, and zstd only is
                file.write(plain.fileno(), count_bytes)
                compress(DescriptorSource(os.dup(plain.fileno()), str(self.target)), self.descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def complete(self, source: Source | None, sync: bool) -> list[str]:
        """Settle who may access the file, wait until the disk has it, and close it. Returns warnings."""
        with self.named():
            warnings = self._take_over_access(source) if isinstance(source, FileSource) or self.real.exists() else []
            if sync:
                os.fsync(self.descriptor)
            self.close()  # some network file systems report a full disk only here; Windows renames no open file
            self._identity = Identity.of(self.path.stat())  # NTFS may change the time when the file is closed
        return warnings

    def _take_over_access(self, source: Source | None) -> list[str]:
        file = source.fileno() if isinstance(source, FileSource) else None
        if not self.real.exists():
            lost = take_over(self.descriptor, file, is_replaced=False) if file is not None else []
            return [f"{self.target} could not get the {lost[0]} of the input"] if lost else []
        most = ALLOWED if file is None or self.replaces(source) else mode_alone(file)
        lost = take_over(self.descriptor, str(self.real), is_replaced=True, most=most)
        warnings = [f"{self.target} could not keep its {', '.join(lost)}"] if lost else []
        names = self.real.stat().st_nlink - 1
        more = f"{names} other name{'s' if names > 1 else ''}"
        return [*warnings, f"the file has {more} (hard links), with the old content"] if names else warnings

    def replaces(self, source: Source | None) -> bool:
        """Whether the output is the source itself, under this name or another."""
        if not isinstance(source, FileSource):
            return False
        is_same = self.real.exists() and os.path.samestat(self.real.stat(), source.status)
        return is_same or self.real == Path(os.path.realpath(source.path))

    def place(self, overwrite: bool, original: Identity | None) -> None:
        """Give the file its name. What had the name before is then at `path`, and has to be the `original` if there is one.

        Raises FileExistsError without `overwrite`, ChangedError where it was not the original, which then has its name again.
        """
        while self._is_taken(overwrite):
            with contextlib.suppress(FileNotFoundError):  # it was removed at this moment
                swap(self.path, self.real)
                break
        if original and not self._is_mine(self.path) and self.path.exists() and Identity.of(self.path.stat()) != original:
            self._give_back()
            raise changed("another program replaced it")

    def _is_taken(self, overwrite: bool) -> bool:
        """Take the name if it is free; returns whether it is not."""
        self._may_be_new = True
        try:
            rename_new(self.path, self.real)
        except FileExistsError:
            self._may_be_new = False
            if not overwrite:
                raise
            return True
        return False

    def discard(self) -> None:
        """Take the name back, for what had it before. The file itself goes with its folder."""
        with contextlib.suppress(OSError):
            if not self._is_mine(self.real):
                return
            if self.path.exists() and not self._is_mine(self.path):
                self._give_back()
            elif self._may_be_new:
                self.real.unlink()

    def _give_back(self) -> None:
        """Give the name back to what had it, or to what another program gives it at this moment."""
        last = self._identity
        while True:
            given = Identity.of(self.path.stat())
            swap(self.path, self.real)
            if Identity.of(self.path.stat()) == last:
                return
            last = given

    def _is_mine(self, path: Path) -> bool:
        return path.exists() and Identity.of(path.stat()) == self._identity

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Let an OSError that names no file, or a temporary one, name the target."""
        try:
            yield
        except OSError as error:
            is_temporary = str(self.folder.path) in str(error.filename)
            if error.errno is not None and (error.filename is None or is_temporary):
                raise about(self.target, error) from error
            raise


class OutputSet:
    """New files of which all get their names, or none; `warnings` are known once they have them."""

    def __init__(self, targets: Sequence[Path]) -> None:
        folders = {parent: WorkFolder(parent) for parent in (Path(os.path.realpath(target)).parent for target in targets)}
        self.folders = list(folders.values())
        self.outputs = [
            Output(target, folders[Path(os.path.realpath(target)).parent], number) for number, target in enumerate(targets)
        ]
        self.warnings: list[str] = []
        self._made: list[Path] = []
        """The folders that were not there before, the outermost first."""
        self._is_done = False

    def open(self) -> None:
        for output in self.outputs:
            with output.named():
                output.check()
                if not output.folder.path.exists():
                    self._make(output.target.parent)
                    output.folder.create()
                output.open()

    def _make(self, folder: Path) -> None:
        """Create a folder, and those above it that are missing."""
        for missing in [each for each in reversed((folder, *folder.parents)) if not each.exists()]:
            missing.mkdir(exist_ok=True)
            self._made.append(missing)

    def complete(self, source: Source | None, may_be_replaced: bool, sync: bool) -> None:
        """Complete all files. Raises ChangedError where the source is no longer what was read."""
        self.warnings += [warning for output in self.outputs for warning in output.complete(source, sync)]
        if source is not None:
            is_in_place = any(output.replaces(source) for output in self.outputs)
            source.check_unchanged(may_be_replaced and not is_in_place)

    def place(self, source: Source | None, overwrite: bool, sync: bool) -> None:
        """Give all files their names."""
        for output in self.outputs:
            with output.named():
                original = source if isinstance(source, FileSource) and output.replaces(source) else None
                if original and not RENAMES_FREELY:
                    original.close_everywhere()
                output.place(overwrite, Identity.of(original.status) if original else None)
        self._is_done = True
        WRITTEN.extend(str(output.target) for output in self.outputs)
        if sync:
            for parent in dict.fromkeys((*(folder.parent for folder in self.folders), *(made.parent for made in self._made))):
                _sync_folder(parent)

    def discard(self) -> None:
        """Remove everything that is temporary, and what has its name already if not all have."""
        if not self._is_done:
            for output in reversed(self.outputs):
                output.discard()
        for output in self.outputs:
            with contextlib.suppress(OSError):  # of a file that nobody gets
                output.close()
        for folder in self.folders:
            folder.remove()
        with contextlib.suppress(OSError):  # another program may have put something there
            for made in reversed(() if self._is_done else self._made):
                made.rmdir()


@contextlib.contextmanager
def new_files(
    targets: Sequence[Path],
    source: Source | None = None,
    *,
    others: Sequence[Source] = (),
    overwrite: bool = False,
    may_be_replaced: bool = False,
    sync: bool = True,
) -> Iterator[OutputSet]:
    """Yield new files that get the names `targets` at the end of the block, in this order, unless the block raises.

    Folders that are missing are created, and removed where the block raises.
    The access to them is that to the files which they replace, or to the `source` that they are made from; `others` are read
    too. With `sync` they are on the disk when the block ends. Raises FileExistsError where there is a file, unless with
    `overwrite`; ChangedError where a source is no longer what was read, or has been replaced unless it `may_be_replaced`;
    OSError about a target.
    """
    origin = _file_of(source) if source is not None else None
    inputs = [*([] if origin is None else [origin]), *map(_file_of, others)]
    for folder in inputs:
        if isinstance(folder, FolderSource):
            _check_not_inside(targets, folder)
    files = OutputSet(targets)
    UNFINISHED.append(files.discard)  # before anything exists, so that a signal at any moment leaves nothing
    try:
        with contextlib.ExitStack() as watched:
            for one in inputs:
                watched.enter_context(unchanged(one, is_replaced=one is origin))
            files.open()
            yield files
            files.complete(origin, may_be_replaced, sync)
        files.place(origin, overwrite, sync)
    finally:
        files.discard()
        UNFINISHED.remove(files.discard)


def _file_of(source: Source) -> Source:
    """What was opened: of a checkpoint in a tar or zip of files the latter."""
    return source.file if isinstance(source, NamedSource) else source


@contextlib.contextmanager
def local_path(output: str | os.PathLike[str], overwrite: bool) -> Iterator[Path]:
    """The path at which an output is written: its own or, for a URL, one from which it is uploaded at the end of the block."""
    if not is_url(output):
        yield Path(output)
        return
    from ptzip.io.remote_output import local_path_of  # it loads fsspec

    with local_path_of(str(output), overwrite) as path:
        yield path


def output_name(output: str | os.PathLike[str], written: str | os.PathLike[str]) -> str:
    """How reports name what was written at a local path: for a URL, the file of the same name beside it."""
    return f"{redacted(str(output)).rpartition('/')[0]}/{Path(written).name}" if is_url(output) else os.fspath(written)


def _check_not_inside(targets: Sequence[Path], folder: FolderSource) -> None:
    """Raise EditError where an output is one of the files of an input."""
    files = {os.path.realpath(Path(folder.path, file)): file for file in folder.files}
    for target in targets:
        if file := files.get(os.path.realpath(target)):
            raise EditError(f"the output {target} is {file} of the input itself: choose another output")


def check_overwrite(path: Path, overwrite: bool) -> None:
    """Raise FileExistsError where there is something at a path that may not be overwritten."""
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def check_not_input(output: Path, source: str | os.PathLike[str]) -> None:
    """Raise EditError where an output is the file at a path or, as FILE::NAME, the file that it is in."""
    file, _ = split_member(source)
    if output.exists() and Path(file).exists() and output.samefile(file):
        raise EditError(f"the output {output} is the input itself: choose another output")


def is_read_only(path: Path) -> bool:
    """Whether nobody may write to a file, or the user may only replace it."""
    may_replace = os.access(path.parent, os.W_OK)
    return not path.stat().st_mode & WRITABLE or (may_replace and not os.access(path, os.W_OK))


def slim_path(source: str | os.PathLike[str], whole_name: str = "") -> Path:
    """The default output of `slim`: `last.slim.pt` beside `last.pt`.

    `last.pt.zst` becomes `last.slim.pt.zst`; the suffix of a compression that is not written is dropped. The output for one
    checkpoint of a tar or zip of files is beside the latter, and that for the folder `run` is `run.slim.pt`, or ends as the
    file that its loader takes, `whole_name`.
    """
    file, name = split_member(source)
    if not name and Path(file).is_dir():
        folder = Path(file) if Path(file).name not in ("", "..") else Path(file).resolve()
        return folder.with_name(f"{folder.name}.slim{Path(whole_name).suffix or '.pt'}")
    path = Path(file).with_name(Path(name).name) if name else Path(file)
    kind = compression_named(path)
    plain = path.with_suffix("") if kind else path
    return path.parent / f"{plain.stem}.slim{plain.suffix or '.pt'}{kind.suffix if kind and kind.is_written else ''}"


def _sync_folder(folder: Path) -> None:
    """Make the names themselves durable, where folders can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
