"""Render the documents of this project, which are Markdown files, as HTML for the pages of a service."""

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urldefrag

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from shared.runtime.docs.documentation import GUIDE_ROUTE

_START: Final = "README"
_FOLDERS: Final = (Path(__file__).parent / "guide", Path(__file__).parents[3] / "docs")
"""Where the documents are in an installed package, and in a checkout."""


class GuidePage(NamedTuple):
    """One document. `path` is where it is served."""

    path: str
    title: str
    content: Markup


class Guide:
    """The documents, each of which is rendered on request. There are none if they are not installed."""

    def __init__(self) -> None:
        folder = next((each for each in _FOLDERS if (each / f"{_START}.md").is_file()), None)
        files = [] if folder is None else [(each, each.relative_to(folder).as_posix()) for each in folder.rglob("*.md")]
        self._path_by_name = {name: _path_of(name) for _, name in files}
        self._files = {_path_of(name): (file, name) for file, name in files}
        self._image_by_name = {} if folder is None else _images_in(folder)

    @property
    def paths(self) -> Collection[str]:
        """The paths at which there are pages."""
        return self._files.keys()

    def render(self, path: str) -> GuidePage:
        """Return the page at one of `paths`."""
        file, name = self._files[path]
        paths = {**self._path_by_name, **{name: f"{GUIDE_ROUTE}/{name}" for name in self._image_by_name}}
        return _render(file, name, paths)

    def read_image(self, path: str) -> bytes | None:
        """Return the picture at a path, a PNG; `None` if there is none."""
        file = self._image_by_name.get(path.removeprefix(f"{GUIDE_ROUTE}/"))
        return file.read_bytes() if file else None


def _images_in(folder: Path) -> dict[str, Path]:
    return {f"images/{file.name}": file for file in (folder / "images").glob("*.png")}


def _path_of(name: str) -> str:
    stem = name.removesuffix(".md")
    return GUIDE_ROUTE if stem == _START else f"{GUIDE_ROUTE}/{stem}"


def _render(file: Path, name: str, paths: Mapping[str, str]) -> GuidePage:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(file.read_text(encoding="utf-8"))
    title = name
    for heading, text in _headings(tokens):
        heading.attrSet("id", _anchor_of(text.content))
        if heading.tag == "h1":
            title = text.content
    for token in tokens:
        if token.children:
            token.children = list(_follow_links(token.children, posixpath.dirname(name), paths))
    content = Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 - escaped by the renderer
    return GuidePage(paths[name], title, content)


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    """Yield each heading with its text."""
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            yield token, tokens[number + 1]


def _anchor_of(heading: str) -> str:
    """Return the anchor that the documents refer to the heading by: in small letters, with hyphens for blanks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _follow_links(tokens: Sequence[Token], folder: str, paths: Mapping[str, str]) -> Iterator[Token]:
    """Yield the tokens with links between documents as links between pages, and other relative links as text."""
    is_dropped = False
    for token in tokens:
        if token.type == "image":
            source = posixpath.normpath(posixpath.join(folder, str(token.attrGet("src") or "")))
            token.attrSet("src", paths.get(source, source))
        if token.type == "link_open":
            target, anchor = urldefrag(str(token.attrGet("href") or ""))
            path = paths.get(posixpath.normpath(posixpath.join(folder, target)))
            is_dropped = bool(target) and path is None and "://" not in target
            if path is not None and target:
                token.attrSet("href", f"{path}#{anchor}" if anchor else path)
        if not (is_dropped and token.type in {"link_open", "link_close"}):
            yield token
        if token.type == "link_close":
            is_dropped = False
