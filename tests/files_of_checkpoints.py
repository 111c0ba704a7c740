"""Tars and zips of files as frameworks write them, with small checkpoints in them."""

import io
import tarfile
import zipfile
from collections.abc import Mapping

import numpy as np

from tests.small_checkpoints import Saving, archive, training_records, weights

CONFIG = b"model: {hidden: 64}\n" * 40


def state_dict() -> bytes:
    """The state dict of a module."""
    saving = Saving()
    return archive(saving.records(saving.ordered({"net.weight": weights(1024), "net.bias": weights(4)})), "archive")


def optimizer(count: int = 1024) -> bytes:
    """The state of an optimizer after its first steps."""
    saving = Saving()
    state = {0: {"step": weights(1), "exp_avg": weights(count), "exp_avg_sq": weights(count)}}
    return archive(saving.records(saving.node({"state": state, "param_groups": [{"lr": 0.01, "params": [0]}]})), "archive")


def variables() -> bytes:
    """The tensors of an algorithm of Stable-Baselines3 that are in none of its modules."""
    saving = Saving()
    return archive(saving.records(saving.node({"log_ent_coef": np.ones(512, np.float32)})), "archive")


def sb3_files() -> dict[str, bytes]:
    """The files in a zip of Stable-Baselines3."""
    return {
        "data": b'{"policy_class": ":type:"}',
        "pytorch_variables.pth": variables(),
        "policy.pth": state_dict(),
        "policy.optimizer.pth": optimizer(),
        "_stable_baselines3_version": b"2.9.2",
        "system_info.txt": b"- OS: any",
    }


def nemo_files() -> dict[str, bytes]:
    """The members of a .nemo."""
    return {"./model_config.yaml": CONFIG, "./model_weights.ckpt": state_dict()}


def several_files() -> dict[str, bytes]:
    return {"config.json": CONFIG, "a/last.pt": archive(training_records(512)), "a/b/other.pt": state_dict(), "z.txt": b"z"}


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return stream.getvalue()


def tarred(files: Mapping[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as packed:
        packed.addfile(folder("./"))
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), 1_700_000_000.5, 0o640
            packed.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def folder(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    return member


def unpacked(data: bytes) -> dict[str, bytes]:
    """The files in a tar or zip, as the standard library reads them."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            assert packed.testzip() is None
            return {name: packed.read(name) for name in packed.namelist()}
    found = dict[str, bytes]()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                found[member.name] = content.read()
    return found
