"""What `--json` prints: one object for every command, as the JSON Schema in the package says, errors included."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import ptzip as package
from ptzip.cli.main import NAMES
from ptzip.json_output import SCHEMA
from tests.cli.shell import ptzip
from tests.corpus import FIXTURES
from tests.small_checkpoints import archive, training_records

DESCRIBED: dict[str, Any] = json.loads((files("ptzip") / "help" / "json.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(DESCRIBED)

COMMANDS = (
    *(f"{command} FILES" for command in ("slim -f", "slim -n", "slim -f --check", "inspect", "scan", "verify --values")),
    *(f"inspect {view} FILES" for view in ("--tensors", "--tree", "--records", "--opcodes", "--map", "--hex 0:64")),
    "inspect whole.pt::model",
    "inspect whole.pt::model.model.0.conv.weight --values",
    *(f"{command} whole.pt {other}" for command in ("diff",) for other in ("whole.pt", "small.pt", "slim.pt", "missing.pt")),
    *(f"average whole.pt {other}.pt -o new.pt -f --weights 1,3" for other in ("whole", "small", "missing")),
    *(f"repair {name}.pt -o new.pt -f" for name in ("cut", "whole", "missing")),
    *(f"convert {name}.pt -o new.{suffix} -f" for name in ("whole", "cut", "small") for suffix in ("safetensors", "npz", "pt")),
)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with whole, damaged, malformed and legacy files, and without `missing.pt`."""
    folder = tmp_path_factory.mktemp("json")
    whole = (FIXTURES / "training.pt").read_bytes()
    (folder / "whole.pt").write_bytes(whole)
    (folder / "cut.pt").write_bytes(whole[:890_000])
    (folder / "small.pt").write_bytes(archive(training_records()))
    (folder / "noise.pt").write_bytes(b"\xff" * 99)
    (folder / "bare.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    package.slim(folder / "whole.pt", folder / "slim.pt")
    package.slim(folder / "whole.pt", folder / "legacy.pt", format="legacy", plain=True)
    package.convert(folder / "whole.pt", folder / "x.safetensors")
    return folder


@pytest.fixture(autouse=True)
def place(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(examples)


FILES = ("whole.pt", "cut.pt", "small.pt", "noise.pt", "bare.pkl", "slim.pt", "legacy.pt", "x.safetensors", "missing.pt")


def printed(words: list[str]) -> Any:
    return json.loads(ptzip(*words, "--json").out, parse_constant=pytest.fail)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_prints_what_the_schema_says(line: str) -> None:
    command, *rest = line.split()
    words = [word for part in rest for word in (FILES if part == "FILES" else (part,))]
    found = printed([command, *words])
    VALIDATOR.validate(found)
    assert (found["schema"], found["command"]) == (SCHEMA, command)
    assert len(found["files"]) == (len(FILES) if "FILES" in rest else 1)


def test_the_schema_refuses_what_no_command_prints() -> None:
    found = printed(["inspect", "whole.pt"])
    del found["files"][0]["size"]
    found["files"][0]["keys"] = {}
    assert not VALIDATOR.is_valid(found)
    assert not VALIDATOR.is_valid({"schema": SCHEMA, "command": "slim", "files": [{"path": "a.pt"}]})


def test_the_schema_describes_every_command() -> None:
    assert set(NAMES) == set(DESCRIBED["properties"]["command"]["enum"])
    assert set(NAMES) <= DESCRIBED["$defs"].keys()


@pytest.mark.parametrize(
    "line", ["slim -n whole.pt", "inspect whole.pt", "scan whole.pt", "verify whole.pt", "diff whole.pt slim.pt"]
)
def test_keys_are_names_and_never_prose(line: str) -> None:
    def keys(data: Any) -> set[str]:
        inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
        return set(data if isinstance(data, dict) else ()).union(*map(keys, inner))

    assert [key for key in keys(printed(line.split())) if not key.isidentifier()] == []
