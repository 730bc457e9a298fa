"""MkDocs hook: pages link to files of the repository as they do on disk, and the site has these files, too.

A link to `../reports/output/claims.md` works where the page is read in the repository. In the site that file
becomes a page; pictures and other files are copied.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)(#[^)\s]*)?(\))")
PICTURES = (".png", ".gif", ".jpg", ".svg")
ALSO = ("CONTRIBUTING.md",)  # pages of the navigation that are not in docs/


def linked(page: Path) -> Iterator[Path]:
    """The files of the repository that a Markdown page links to."""
    for _, target, _, _ in LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        if "://" not in target and path.is_relative_to(ROOT) and path.is_file():
            yield path


def site_name(path: Path) -> str:
    """Path of a file of the repository in the site, as a page's source."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    return "readme.md" if name == "README.md" else name  # README would be the site's index


def pages() -> dict[str, Path]:
    """{name: file} of every file outside of docs/ that pages of the site link to, even through others."""
    files: dict[str, Path] = {}
    waiting = [*DOCS.rglob("*.md"), *(ROOT / name for name in ALSO)]
    seen = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if not path.is_relative_to(DOCS):
            files[site_name(path)] = path
        if path.suffix == ".md":
            waiting += linked(path)
    return files


def rewritten(text: str, page: Path) -> str:
    """A page's text with links relative to its place in the site."""

    def one(match: re.Match[str]) -> str:
        before, target, anchor, after = match.groups()
        path = (page.parent / target).resolve()
        if "://" in target or not path.is_relative_to(ROOT) or not path.is_file():
            return match[0]
        here = os.path.dirname(site_name(page)) or "."  # noqa: PTH120 (a name, not a path)
        return f"{before}{os.path.relpath(site_name(path), here)}{anchor or ''}{after}"

    return LINK.sub(one, text)


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the files that pages link to; called by MkDocs."""
    from mkdocs.structure.files import File

    for name, path in pages().items():
        if path.suffix == ".md" or path.suffix in PICTURES:
            files.append(File.generated(config, name, abs_src_path=str(path)))
        else:
            files.append(File.generated(config, name, content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page for the site; called by MkDocs."""
    return rewritten(markdown, Path(page.file.abs_src_path))
