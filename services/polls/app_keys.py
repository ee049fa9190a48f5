"""What handlers find in the application."""

from typing import Final

from aiohttp import web

from services.polls.operations.feed import PollFeed
from services.polls.operations.followed import FollowedPolls
from services.polls.operations.stream_places import StreamLimiter
from services.polls.operations.turns import PollSemaphores
from services.polls.operations.vote import Votes
from services.polls.settings import PollsSettings
from shared.runtime.postgres.database import Database

SETTINGS: Final = web.AppKey("settings", PollsSettings)
DATABASE: Final = web.AppKey("database", Database)
TURNS: Final = web.AppKey("turns", PollSemaphores)
VOTES: Final = web.AppKey("votes", Votes)
POLL_FEED: Final = web.AppKey("poll_feed", PollFeed)
FOLLOWED: Final = web.AppKey("followed", FollowedPolls)
STREAM_PLACES: Final = web.AppKey("stream_places", StreamLimiter)
