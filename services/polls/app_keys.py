"""What handlers find in the application."""

from typing import Final

from aiohttp import web

from services.polls.settings import PollsSettings
from shared.runtime.postgres import Database

SETTINGS: Final = web.AppKey("settings", PollsSettings)
DATABASE: Final = web.AppKey("database", Database)
