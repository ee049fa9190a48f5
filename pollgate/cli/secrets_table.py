"""What is kept of the secrets of a token or a service, as people read it."""

from collections.abc import Sequence

from pollgate.cli.output import counted, print_table
from pollgate.cli.times import told, told_exactly
from pollgate.client import Secret


def print_secrets(secrets: Sequence[Secret], *, with_use: bool = True) -> None:
    """A table of them, `with_use` where that is recorded, and an alert for each that was presented after its end."""
    columns = ("Secret", "Works", "Made (UTC)", "First used", "Last used", "Late uses")
    shown = len(columns) if with_use else 3
    print_table(columns[:shown], (_row(secret)[:shown] for secret in secrets))
    for secret in secrets:
        if secret.late_uses:
            times, last = counted(secret.late_uses, "time"), told_exactly(secret.last_late_use_at)
            print(
                f"ALERT: the secret {secret.hint} was presented {times} after its end, last at {last}. "
                "Whoever presents it has not got the new one, or has no right to it."
            )


def _row(secret: Secret) -> tuple[str, ...]:
    used = (told(secret.first_used_at), told(secret.last_used_at))
    return (secret.hint, _works(secret), told(secret.created_at), *used, str(secret.late_uses or ""))


def _works(secret: Secret) -> str:
    if not secret.works:
        return f"ended {told(secret.ends_at)}" if secret.ends_at else "no"
    until = f"until {told(secret.ends_at)}" if secret.ends_at else "yes"
    return f"{until}, or the next one is used" if secret.ends_on_use else until
