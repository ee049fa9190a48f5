"""Read from the metrics of a process whether it works as it should."""

from pollgate.doctor.finding import Examination
from pollgate.doctor.services import Metrics


def examine_authority_metrics(examination: Examination, metrics: Metrics) -> None:
    """Add what the metrics of a process of the token authority say."""
    examination.judge(
        "changes on Redis",
        "some wait to be published" if any(metrics.get("pollgate_changes_unpublished", ())) else "all are published",
        "start Redis, or correct REDIS_URL of the token authority",
        warns=any(metrics.get("pollgate_changes_unpublished", ())),
    )
    _examine_limits(examination, metrics)


def examine_polls_metrics(examination: Examination, metrics: Metrics) -> None:
    """Add what the metrics of a guarded process say."""
    held = metrics.get("pollgate_guard_lease_held", ())
    examination.judge(
        "lease",
        "held" if held and all(held) else "not held: every token is introspected",
        "start the token authority, or correct TOKEN_AUTHORITY_URL; the log of the service says why a sync fails",
        fails=not (held and all(held)),
    )
    lag = max(metrics.get("pollgate_guard_lag_changes", ()), default=0)
    examination.judge(
        "feed lag", f"{lag:.0f} changes", "run this again; if the lag stays, look at the log", warns=lag > 0
    )
    _examine_limits(examination, metrics)


def _examine_limits(examination: Examination, metrics: Metrics) -> None:
    in_memory = any(metrics.get("pollgate_rate_limit_in_memory", ()))
    examination.judge(
        "limits",
        "each process counts by itself" if in_memory else "counted for all processes together",
        "start Redis, or correct REDIS_URL or the rights of its user",
        warns=in_memory,
    )
