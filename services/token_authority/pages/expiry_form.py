"""The choice of an expiry: presets with the day that each gives, another day, or never."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.token_fields import NEVER, Lifetime, read_time_field
from shared.runtime.pages.filters import day

KEEP: Final = "keep"
ON_DAY: Final = "day"
_PRESETS: Final = ((7, "7 days"), (30, "30 days"), (60, "60 days"), (90, "90 days"), (365, "1 year"))
_PREFERRED_DAYS: Final = 30


class ExpiryChoice(NamedTuple):
    """One choice: its value in the form, its label, and what it gives."""

    value: str
    label: str
    hint: str


class ExpiryForm(NamedTuple):
    """The choices, the one that is made, and the day that was entered."""

    choices: tuple[ExpiryChoice, ...]
    chosen: str
    on_day: str
    first_day: str
    last_day: str

    def to_lifetime(self) -> Lifetime | None:
        """Return the expiry, `None` to keep the current one. Raise `InvalidValue` if the day is none."""
        if self.chosen == KEEP:
            return None
        if self.chosen == ON_DAY and not self.on_day:
            raise InvalidValue(("expires_at",), "choose a day")
        if self.chosen == ON_DAY:
            return Lifetime(read_time_field("expires_at", self.on_day, day="last"), None)
        return Lifetime(None, self.chosen)


def expiry_form(
    now: datetime, max_lifetime: timedelta | None, *, chosen: str = "", on_day: str = "", keep: str = ""
) -> ExpiryForm:
    """Return the choices that the policy allows. `keep` describes the current expiry, if it may be kept."""
    most = timedelta.max if max_lifetime is None else max_lifetime
    days = [(count, label) for count, label in _PRESETS if timedelta(days=count) <= most]
    choices = [ExpiryChoice(f"{count}d", label, f"on {day(now + timedelta(days=count))}") for count, label in days]
    if keep:
        choices.insert(0, ExpiryChoice(KEEP, "Keep the current expiry", keep))
    choices.append(ExpiryChoice(ON_DAY, "On another day", "at the end of that day in UTC"))
    if max_lifetime is None:
        choices.append(ExpiryChoice(NEVER, "Never", "it works until someone revokes it"))
    values = [choice.value for choice in choices]
    preferred = KEEP if keep else f"{_PREFERRED_DAYS}d" if f"{_PREFERRED_DAYS}d" in values else values[-1]
    return ExpiryForm(
        choices=tuple(choices),
        chosen=chosen if chosen in values else preferred,
        on_day=on_day,
        first_day=now.date().isoformat(),
        last_day="" if max_lifetime is None else (now + max_lifetime).date().isoformat(),
    )
