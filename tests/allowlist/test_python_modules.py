"""The modules of Python, of which a new version has more: name them in the list then, and count again."""

from ptzip.allowlist.python_modules import PYTHON_MODULES


def test_every_version_of_python_knows_the_same_modules() -> None:
    assert len(PYTHON_MODULES) == 388
    assert {"crypt", "telnetlib", "distutils", "compression", "annotationlib", "CGIHTTPServer", "winreg"} <= PYTHON_MODULES
