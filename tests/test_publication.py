"""What a publication needs: a licence, a citation, one version in all places."""

import re
import tomllib

import yaml

from ilrm.system.paths import PROJECT

PAPER = "2507.23277"


def project():
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def test_the_licence_is_the_one_that_is_declared():
    declared = project()
    assert declared["license"] == "Apache-2.0" and declared["license-files"] == ["LICENSE"]
    text = (PROJECT / "LICENSE").read_text()
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text


def test_the_version_is_the_same_everywhere():
    version = project()["version"]
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    readme = (PROJECT / "README.md").read_text()
    assert citation["version"] == version and f"version = {{{version}}}" in readme
    newest = re.search(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None and newest[1] == version


def test_the_paper_is_cited_in_all_places():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    (paper,) = citation["references"]
    readme = (PROJECT / "README.md").read_text()
    assert PAPER in paper["url"] and PAPER in project()["urls"]["Paper"]
    bibtex = readme.partition("```bibtex")[2].partition("```")[0]
    assert PAPER in bibtex and paper["title"] == "iLRM: An Iterative Large 3D Reconstruction Model"
    assert all(author["family-names"] in bibtex for author in paper["authors"])
