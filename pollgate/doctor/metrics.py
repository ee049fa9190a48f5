"""Read from the metrics of a service whether it works as it should."""

from typing import Final

from pollgate.doctor.finding import Examination
from pollgate.doctor.services import Metrics
from shared.runtime.process.metrics import find_version

_BUSY_SHARE: Final = 0.9


def examine_authority_metrics(examination: Examination, metrics: Metrics) -> None:
    """Add what the metrics of the token authority say."""
    if any(metrics.values("pollgate_journal_outage")):
        examination.fail(
            "journal",
            "cannot be written",
            "free or repair its disk, and look at the log; until then a restore may bring back what is revoked",
        )
    _examine_common(examination, metrics)


def examine_polls_metrics(examination: Examination, metrics: Metrics) -> None:
    """Add what the metrics of a guarded service say."""
    held = metrics.values("pollgate_guard_lease_held")
    examination.judge(
        "lease",
        "held" if held and all(held) else "not held: every token is introspected",
        "its readiness and its log say why: start the token authority, or correct what they name",
        fails=not (held and all(held)),
    )
    lag = max(metrics.values("pollgate_guard_lag_changes"), default=0)
    examination.judge(
        "feed lag", f"{lag:.0f} changes", "run this again; if the lag stays, look at the log", warns=lag > 0
    )
    _examine_common(examination, metrics)


def _examine_common(examination: Examination, metrics: Metrics) -> None:
    versions = metrics.labels("pollgate_build_info", "version")
    examination.judge(
        "version",
        ", ".join(sorted(versions)) or "unknown",
        f"this command is of {find_version()}; finish the upgrade (docs/upgrading.md)",
        warns=versions != {find_version()},
    )
    in_use = sum(metrics.values("pollgate_database_connections_in_use"))
    size = sum(metrics.values("pollgate_database_connections_limit"))
    waiting = sum(metrics.values("pollgate_database_connections_waiting"))
    examination.judge(
        "pool",
        f"{in_use:.0f} of {size:.0f} connections in use, {waiting:.0f} statements wait",
        "run this again; if they still wait, raise DATABASE_POOL_SIZE, or look for slow statements",
        warns=waiting > 0 or in_use > size * _BUSY_SHARE,
    )
    in_memory = any(metrics.values("pollgate_rate_limit_in_memory"))
    examination.judge(
        "limits",
        "each process counts by itself" if in_memory else "counted for all processes together",
        "start Redis, or correct REDIS_URL or the rights of its user",
        warns=in_memory,
    )
