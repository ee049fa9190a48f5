"""Show the event streams and pages that are open, with their limits, and whether poll changes arrive."""

from prometheus_client import CollectorRegistry

from services.polls.operations.stream_limiter import StreamLimiter
from services.polls.pages.live_results import LivePages
from services.polls.settings import PollsSettings
from services.polls.tasks.poll_feed import PollFeed
from shared.runtime.process.metrics import Readings


def show_state(
    registry: CollectorRegistry, settings: PollsSettings, streams: StreamLimiter, pages: LivePages, feed: PollFeed
) -> None:
    """Register gauges that are read when they are shown. Of several workers, the sums are shown."""
    readings = Readings(registry)
    readings.show("pollgate_event_streams", "Open event streams", lambda: streams.open_streams)
    readings.show("pollgate_event_streams_limit", "Maximum of event streams", lambda: settings.event_streams)
    readings.show("pollgate_live_pages", "Open pages with live results", lambda: len(pages.open))
    readings.show("pollgate_live_pages_limit", "Maximum of pages with live results", lambda: settings.live_pages)
    readings.show(
        "pollgate_polls_feed_subscribed",
        "1 while changes of polls arrive from other replicas over Redis, 0 while they are seen up to 3 s late",
        lambda: feed.is_live,
        "livemin",
    )
