"""Opens a checkpoint by its content, in the order of torch.load: formats with a magic number before bare pickles."""

from ptzip.errors import FormatError
from ptzip.formats import signatures
from ptzip.formats.container import Container
from ptzip.io.sources import Source
from ptzip.limits import Limits


def open_container(source: Source, limits: Limits) -> Container:
    """Open a file by its format. Raises FormatError, which says what the file is where it is not a checkpoint."""
    if signatures.is_whole_zip(source):
        from ptzip.formats import zips  # here and below: most processes open files of one format

        return zips.read(source, limits)
    if signatures.is_tar(source):
        from ptzip.formats import tar  # as above

        found = list(tar.members(source))
        if tar.is_of_torch(found):
            return tar.read(found, limits)
        from ptzip.formats import collection  # as above

        return collection.of_tar(source, found)
    if signatures.is_safetensors(source):
        from ptzip.formats import safetensors  # as above

        return safetensors.read(source, limits)
    if signatures.is_legacy(source):
        from ptzip.formats import legacy  # as above

        return legacy.read(source, limits)
    if signatures.is_pickle(source):
        from ptzip.formats import bare  # as above

        return bare.read(source, limits)
    raise FormatError(f"this is {signatures.described(source)}")
