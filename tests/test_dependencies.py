"""Dependencies: what is imported is declared, what is declared is locked, and its licence is told."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from ilrm.system.paths import PROJECT

OURS = ("ilrm", "ablations", "reports", "benchmarks", "tests")


def plain(name: str) -> str:
    """The name of a package as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    """The packages that pyproject.toml lists, without their versions."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][e] for e in extras)]
    return {plain(re.split(r"[=<>~!;\[ ]", line)[0]) for lines in lists for line in lines}


def imports(file: Path) -> set[str]:
    """The top-level modules that a file imports, anywhere in it, from neither Python nor this project."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - set(OURS)
    return {name for name in tops if not file.with_name(f"{name}.py").exists()}


@pytest.mark.parametrize("folder", OURS)
def test_what_is_imported_is_declared(folder):
    known = declared("dev") if folder == "tests" else declared()
    packages = packages_distributions()
    for file in sorted((PROJECT / folder).rglob("*.py")):
        for name in sorted(imports(file)):
            brought = {plain(package) for package in packages.get(name, [name])}
            assert brought & known, (
                f"add {' or '.join(brought)} to pyproject.toml: {file} imports {name}"
            )


def test_what_is_declared_is_locked():
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    assert declared("dev") <= {plain(line.partition("==")[0]) for line in lines}


def test_the_licence_of_every_dependency_is_told():
    page = (PROJECT / "docs" / "licences.md").read_text()
    told = {plain(word) for word in re.findall(r"[\w-]+", page)}
    assert declared() <= told, f"add to docs/licences.md: {sorted(declared() - told)}"
