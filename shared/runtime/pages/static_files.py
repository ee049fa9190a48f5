"""Serve stylesheets, scripts and images under names with a hash of their content, which browsers keep forever."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import hdrs, web

from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import PUBLIC, Excess, Route

SHARED_STATIC: Final = Path(__file__).parent / "static"
"""The folder with the files of every service's pages."""
IMMUTABLE: Final = "public, max-age=31536000, immutable"
_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HASH_LENGTH: Final = 12


class StaticFile(NamedTuple):
    """A file as it is served. `path` has the hash in its name."""

    path: str
    body: bytes
    media_type: str


class StaticFiles:
    """The files of some folders, served under `prefix`. They are read at the first request for one."""

    def __init__(self, prefix: str, *folders: Path) -> None:
        self._prefix = prefix
        self._folders = folders

    def path(self, name: str) -> str:
        """Return the path of the file with this name. Raise `KeyError` if there is none."""
        return self._files[name].path

    @property
    def route(self) -> Route:
        """The route that serves the files."""
        return Route(
            "GET", f"{self._prefix}/{{name}}", Endpoint(self._serve), PUBLIC, logs_success=False, excess=Excess.WAIT
        )

    async def _serve(self, request: web.Request) -> web.Response:
        """Return the file. One of another release, with another hash, is served as it is here, and not kept."""
        stem, _, rest = request.match_info["name"].partition(".")
        file = self._files.get(f"{stem}.{rest.rpartition('.')[2]}")
        if file is None:
            raise web.HTTPNotFound
        headers = {hdrs.CACHE_CONTROL: IMMUTABLE} if request.path == file.path else {}
        return web.Response(body=file.body, content_type=file.media_type, charset="utf-8", headers=headers)

    @cached_property
    def _files(self) -> Mapping[str, StaticFile]:
        found = [file for folder in self._folders for file in sorted(folder.iterdir()) if file.suffix in _MEDIA_TYPES]
        return {file.name: self._read(file) for file in found}

    def _read(self, file: Path) -> StaticFile:
        body = file.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]
        return StaticFile(f"{self._prefix}/{file.stem}.{digest}{file.suffix}", body, _MEDIA_TYPES[file.suffix])
