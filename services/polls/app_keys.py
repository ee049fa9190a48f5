"""What handlers find in the application."""

from typing import Final

from aiohttp import web

from services.polls.operations.feed import PollFeed
from services.polls.settings import PollsSettings
from shared.runtime.postgres import Database

SETTINGS: Final = web.AppKey("settings", PollsSettings)
DATABASE: Final = web.AppKey("database", Database)
POLL_FEED: Final = web.AppKey("poll_feed", PollFeed)
