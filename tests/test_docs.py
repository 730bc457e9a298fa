"""What the pages name exists: links, paths, commands, options, parameters, names of the package."""

import argparse
import importlib
import importlib.util
import json
import re
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

from ilrm.__main__ import COMMANDS, command
from ilrm.presets import SCALES, parameter_names
from ilrm.system.paths import PROJECT
from reports.readme import BEGIN, END, README

PAGES = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").glob("*.md")),
]
API = sorted((PROJECT / "docs" / "api").glob("*.md"))
PACKAGES = ("ilrm", "ablations", "reports")
FOLDERS = (*PACKAGES, "tests", "docs", "notebooks", "benchmarks", "scripts")

LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
PATH = re.compile(rf"(?<![\w./-])((?:{'|'.join(FOLDERS)})/[\w./*-]*)")
MODULE = re.compile(r"(?:python|torchrun[^`\n]*?) -m ([\w.]+)")
ILRM = re.compile(r"(?:^|`)ilrm ([a-z]+)([^`\n#]*)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")
DOTTED = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)[`(]")
NOTEBOOK = re.compile(r"-p (\w+)")
FIELD = re.compile(r"(?<![\w/.-])(\w+)=")

MADE_UP = {"ablations/studies/final_norm.toml"}  # examples
OTHERS_OPTIONS = {  # torchrun's, sbatch's and srun's, all's
    *("--nnodes", "--nproc-per-node", "--rdzv-backend", "--rdzv-endpoint", "--rdzv-id"),
    *("--max-restarts", "--array", "--gres", "--nodes", "--ntasks-per-node", "--help"),
}


def by_name(paths):
    return {"argvalues": paths, "ids": lambda path: path.name}


def slug(heading):
    """The anchor of a heading, as GitHub and MkDocs make it."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def commands(text):
    """(module, command line) of every `python -m` in a page; a line of a shell ends at its comment."""
    for line in text.splitlines():
        for piece in re.split(r"`|&&|\s#\s", line):
            if found := MODULE.search(piece):
                yield found[1], piece[found.end() :]


def options(command):
    """All options of a command of the project and of the commands below it."""
    parser, found = argparse.ArgumentParser(), set()
    command.add_arguments(parser)
    waiting = [parser]
    while waiting:
        for action in waiting.pop()._actions:
            found |= set(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
    return found


def notebook_parameters():
    found = set()
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if "parameters" in cell["metadata"].get("tags", []):
                found |= set(re.findall(r"^(\w+) = ", "".join(cell["source"]), re.MULTILINE))
    return found


@pytest.mark.parametrize("page", **by_name(PAGES))
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.is_relative_to(PROJECT) and path.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page.name}: {target}#{anchor}"


@pytest.mark.parametrize("page", **by_name(PAGES))
def test_paths_exist(page):
    for found in PATH.findall(page.read_text()):
        path = found.rstrip(".")
        assert path in MADE_UP or (PROJECT / path).exists(), f"{page.name}: {path}"


@pytest.mark.parametrize("page", **by_name(PAGES))
def test_commands_and_their_options_exist(page):
    text = page.read_text()
    every = "\n".join(
        file.read_text()
        for name in (*PACKAGES, "tests/drills", "tests/fuzz")
        for file in (PROJECT / name).rglob("*.py")
    )
    for option in set(OPTION.findall(text)) - OTHERS_OPTIONS:
        assert f'"{option}"' in every, f"{page.name}: {option}"
    for module, rest in commands(text):
        if module.split(".")[0] not in PACKAGES:
            assert importlib.util.find_spec(module), f"{page.name}: python -m {module}"
            continue
        path = PROJECT.joinpath(*module.split("."))
        runs = path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
        assert runs, f"{page.name}: python -m {module}"
        main = f"{module}.__main__" if path.is_dir() else module
        known = OTHERS_OPTIONS | options(importlib.import_module(main).main)
        for option in OPTION.findall(rest):
            assert option in known, f"{page.name}: {module} {option}"
    for name, rest in ILRM.findall(text):
        known = OTHERS_OPTIONS | (options(command(name)) if name in COMMANDS else set())
        assert name in (*COMMANDS, "completion"), f"{page.name}: ilrm {name}"
        assert set(OPTION.findall(rest)) <= known, f"{page.name}: ilrm {name}{rest}"


@pytest.mark.parametrize("page", **by_name(PAGES))
def test_parameters_exist(page):
    text, fields = page.read_text(), set(parameter_names())
    for name in NOTEBOOK.findall(text):
        known = fields | notebook_parameters() | MADE_UP
        assert name in known, f"{page.name}: -p {name}"
    for module, rest in commands(text):
        if module == "ilrm.train":
            for name in FIELD.findall(rest):
                assert name in fields, f"{page.name}: {module} {name}="
    for command_name, rest in ILRM.findall(text):
        if command_name == "train":
            assert set(FIELD.findall(rest)) <= fields, f"{page.name}: ilrm train{rest}"


@pytest.mark.parametrize("page", **by_name(PAGES))
def test_names_of_the_package_exist(page):
    for name in set(DOTTED.findall(page.read_text())):
        parts, module = name.split("."), None
        while parts and module is None:
            where = PROJECT.joinpath(*parts)
            if where.with_suffix(".py").is_file() or (where / "__init__.py").is_file():
                module = importlib.import_module(".".join(parts))
            else:
                parts.pop()
        for attribute in name.split(".")[len(parts) :]:
            module = getattr(module, attribute, None)
        assert module is not None, f"{page.name}: {name}"


def test_every_module_has_its_place_in_the_reference():
    told = Counter(
        name for page in API for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    )
    twice = [name for name, count in told.items() if count > 1]
    assert not twice, f"docs/api: keep one of each {twice}"
    defined = set()
    for package in PACKAGES:
        for file in (PROJECT / package).rglob("*.py"):
            if file.name != "__main__.py" and re.search(
                r"^(def|class) [^_]", file.read_text(), re.MULTILINE
            ):
                name = ".".join(file.relative_to(PROJECT).with_suffix("").parts)
                defined.add(name.removesuffix(".__init__"))
    assert defined <= set(told), f"add to docs/api: {sorted(defined - set(told))}"
    for name in told:
        assert importlib.util.find_spec(name), f"docs/api: {name}"


def outputs():
    """The tables and figures in reports/output/, named as those of the tiny scale are."""
    folder = PROJECT / "reports" / "output"
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.suffix in (".md", ".png", ".gif"):
            yield (name.relative_to(name.parts[0]) if name.parts[0] in SCALES else name).as_posix()


def test_every_output_of_the_reports_is_listed_with_what_it_shows():
    text = (PROJECT / "docs" / "results.md").read_text()
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| ")]
    told = [name for name, shows in rows if shows.strip()]
    links = {name for cell in told for name in re.findall(r"output/([\w/.]+)\)", cell)}
    patterns = {name for cell in told for name in re.findall(r"`([\w/.*]+)`", cell)}
    for name in outputs():
        listed = name in links or any(fnmatch(name, pattern) for pattern in patterns)
        assert listed, f"docs/results.md: add a row for {name}"


def test_the_readme_is_short():
    """What is written by hand; the results between their comments are generated."""
    before, _, rest = (PROJECT / README).read_text().partition(BEGIN)
    lines = [*before.splitlines(), *rest.partition(END)[2].splitlines()]
    assert len(lines) < 150, "README.md: move a part to a page of docs/"
    assert max(map(len, lines)) <= 120


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "scripts" / "docs"))
    yield importlib.import_module("pages")
    sys.modules.pop("pages")


def test_links_of_the_site_lead_to_the_same_files(pages):
    page = PROJECT / "docs" / "results.md"
    text = "[a](../reports/output/claims.md) [b](data.md#layouts) [c](https://x.y/z) ![d](../README.md)"
    assert pages.rewritten(text, page) == (
        "[a](reports/output/claims.md) [b](data.md#layouts) [c](https://x.y/z) ![d](readme.md)"
    )
    assert pages.rewritten("[a](docs/data.md#x)", PROJECT / "CONTRIBUTING.md") == "[a](data.md#x)"
    known = pages.pages()
    assert known["readme.md"] == PROJECT / "README.md" and "CONTRIBUTING.md" in known
    assert all(isinstance(path, Path) and path.is_file() for path in known.values())
