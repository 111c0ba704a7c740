"""What Python runs first in every process of the tests when `PTZIP_NO_POSIX` is set."""

from tests.no_posix import install

install()
