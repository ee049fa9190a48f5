"""Keys of the objects that `app.py` puts into the application for the handlers."""

from typing import Final

from aiohttp import web

from services.polls.operations.batch import BatchEditor
from services.polls.operations.edit import PollEditor
from services.polls.operations.links import VotingLinks
from services.polls.operations.sessions import Sessions
from services.polls.operations.stream_limiter import StreamLimiter
from services.polls.operations.vote import Votes
from services.polls.operations.voter_passes import VoterPasses
from services.polls.settings import PollsSettings
from services.polls.storage.poll_reads import PollReads
from services.polls.tasks.followed_polls import FollowedPolls
from services.polls.tasks.poll_feed import PollFeed
from shared.runtime.pages.cookies import SecretCookie
from shared.runtime.pages.forms import Form
from shared.runtime.pages.templates import Templates
from shared.runtime.postgres.database import Database
from shared.runtime.redis.limited_sets import LimitedSets

SETTINGS: Final = web.AppKey("settings", PollsSettings)
DATABASE: Final = web.AppKey("database", Database)
LINK_VOTERS: Final = web.AppKey("link_voters", LimitedSets)
POLL_READS: Final = web.AppKey("poll_reads", PollReads)
POLL_FEED: Final = web.AppKey("poll_feed", PollFeed)
POLL_EDITOR: Final = web.AppKey("poll_editor", PollEditor)
BATCH_EDITOR: Final = web.AppKey("batch_editor", BatchEditor)
VOTING_LINKS: Final = web.AppKey("voting_links", VotingLinks)
VOTER_PASSES: Final = web.AppKey("voter_passes", VoterPasses)
VOTES: Final = web.AppKey("votes", Votes)
FOLLOWED_POLLS: Final = web.AppKey("followed_polls", FollowedPolls)
STREAM_LIMITER: Final = web.AppKey("stream_limiter", StreamLimiter)
TEMPLATES: Final = web.AppKey("templates", Templates)
SESSIONS: Final = web.AppKey("sessions", Sessions)
SESSION_COOKIE: Final = web.AppKey("session_cookie", SecretCookie)

SESSION_SECRET: Final = web.RequestKey("session_secret", str)
"""The secret of the session of a request for a page."""
FORM: Final = web.RequestKey("form", Form)
"""The form that a page has sent."""
