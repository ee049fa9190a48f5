"""What handlers find in the application."""

from typing import Final

from aiohttp import web

from shared.runtime.postgres import Database

DATABASE: Final = web.AppKey("database", Database)
