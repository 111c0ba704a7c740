"""What the packages say about themselves is so."""

import re
import tomllib
from importlib import metadata

from tests.corpus import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEVELOPING = (ROOT / "ptzip" / "help" / "developing.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in DEVELOPING.splitlines() if line.startswith("| ")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required() -> set[str]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    names = [re.match(r"[\w.-]+", requirement) for group in groups for requirement in group]
    return {normal(name[0]) for name in names if name} - {"ptzip"}


def test_the_table_of_licences_has_every_dependency() -> None:
    uses = {"ptzip", *PROJECT["optional-dependencies"]}
    listed = {normal(row[0]): row[2] for row in ROWS if uses.issuperset(row[1].split(", "))}
    assert listed.keys() == required()
    for name, licence in listed.items():
        try:
            installed = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        if "License-Expression" in installed:
            assert installed["License-Expression"].startswith(licence.partition(",")[0]), name


def test_the_classifiers_name_the_versions_of_python_that_the_tests_ran_with() -> None:
    tested = {".".join(row[0].split(".")[:2]) for row in ROWS if re.fullmatch(r"3\.\d+\.\d+", row[0])}
    named = {line.split()[-1] for line in PROJECT["classifiers"] if re.fullmatch(r".* :: 3\.\d+", line)}
    assert named == tested
