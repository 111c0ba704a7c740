"""The modules of Python itself, where most harmful functions are, as opposed to those of packages."""

import sys
from _compat_pickle import IMPORT_MAPPING

REMOVED = frozenset(("asynchat", "asyncore", "distutils", "idlelib", "imp", "lib2to3", "smtpd", "test", "turtledemo", "pip"))
OTHER_SYSTEMS = frozenset(
    ("nt", "_winreg", "winreg", "msvcrt", "_pyrepl", "_interpreters", "_xxsubinterpreters", "_aix_support")
)
PYTHON_MODULES = (
    sys.stdlib_module_names | set(IMPORT_MAPPING) | REMOVED | OTHER_SYSTEMS | {"setuptools", "pkg_resources", "_osx_support"}
)
"""Modules of this version of Python, of other versions and systems, and of every installation."""
