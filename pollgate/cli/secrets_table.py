"""A table of the secrets of a token or a service."""

from collections.abc import Sequence
from datetime import datetime

from pollgate.cli.output import pluralize, print_table
from pollgate.cli.times import format_exact_time, format_time
from pollgate.client import Secret


def print_secrets(secrets: Sequence[Secret], *, with_use: bool = True) -> None:
    """Print the secrets, `with_use` where their use is recorded, and an alert for each that was used after its end."""
    columns = ("Secret", "Works", "Created (UTC)", "First used", "Last used", "Late uses")
    shown = len(columns) if with_use else 3
    print_table(columns[:shown], (_row(secret)[:shown] for secret in secrets))
    for secret in secrets:
        if secret.late_uses:
            times, last = pluralize(secret.late_uses, "time"), format_exact_time(secret.last_late_use_at)
            print(
                f"ALERT: the secret {secret.hint} was presented {times} after its end, last at {last}. "
                "A client still uses the old secret, or the secret is in the wrong hands."
            )


def describe_old_secrets(end: datetime | None, *, at_once: bool, end_on_use: bool) -> str:
    """Return a sentence, without its full stop, that says when the earlier secrets end after a rotation."""
    if at_once or end is None:
        return "Earlier secrets have ended"
    first = "with the first use of this one, and " if end_on_use else ""
    return f"Earlier secrets end {first}at {format_exact_time(end)} at the latest"


def _row(secret: Secret) -> tuple[str, ...]:
    used = (format_time(secret.first_used_at), format_time(secret.last_used_at))
    return (
        secret.hint,
        _describe_validity(secret),
        format_time(secret.created_at),
        *used,
        f"{secret.late_uses:,}" if secret.late_uses else "",
    )


def _describe_validity(secret: Secret) -> str:
    if not secret.works:
        return f"ended {format_time(secret.ends_at)}" if secret.ends_at else "no"
    until = f"until {format_time(secret.ends_at)}" if secret.ends_at else "yes"
    return f"{until}, or until the next one is used" if secret.ends_on_use else until
