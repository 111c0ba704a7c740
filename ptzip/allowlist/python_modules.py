"""The modules of Python itself, where most harmful functions are, as opposed to those of packages.

They are the same whichever Python runs ptzip, since another may load the checkpoint.
"""

import sys
from _compat_pickle import IMPORT_MAPPING

PYTHON_2 = {**IMPORT_MAPPING, "CGIHTTPServer": "http.server", "Tix": "tkinter.tix"}
"""The names in Python 3 of modules of Python 2; versions of Python differ in these two."""

REMOVED = """
_bootsubprocess _compression _crypt _msi _sha256 _sha512 aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils idlelib
imghdr imp lib2to3 mailcap msilib nis nntplib ossaudiodev pip pipes smtpd sndhdr spwd sre_compile sre_constants sre_parse sunau
telnetlib test turtledemo uu xdrlib
"""
ADDED = """
_android_support _apple_support _ast_unparse _colorize _hmac _interpchannels _interpqueues _interpreters _ios_support
_math_integer _opcode_metadata _py_warnings _pydatetime _pylong _pyrepl _remote_debugging _sha2 _suggestions _sysconfig _types
_wmi _xxsubinterpreters _zstd annotationlib compression profiling
"""
OTHERS = "nt _winreg winreg msvcrt _aix_support _osx_support setuptools pkg_resources"
"""Modules of other systems, and of every installation."""

PYTHON_MODULES = sys.stdlib_module_names | PYTHON_2.keys() | {*f"{REMOVED} {ADDED} {OTHERS}".split()}
"""The modules of Python 2 and of Python 3.11 to 3.15."""
