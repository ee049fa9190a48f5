"""Which option sets which field of a request, so that messages about a field name its option.

A field has the same option in every command. A test goes through all fields that the services can refuse.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from shared.contract.token import SECRET_PATTERN

_OF_TOKENS: Final = ("owner", "metadata", "expires_at", "expires_in", "rate_limit", "self_rotation")
_OF_SEVERAL: Final = ("name", "description", "site", "role", "end_on_use", "reason", "text", "all", "dry_run")
_OF_SEARCHES: Final = (
    "scope",
    "status",
    "issued_before",
    "unused_since",
    "unused_days",
    "expiring_days",
    "include_kept",
)
_OF_RANGES: Final = (
    "created_after",
    "created_before",
    "used_after",
    "expires_after",
    "expires_before",
    "updated_since",
)
_OF_POLLS: Final = ("title", "template", "workspace", "content", "container", "allow_revote", "allow_comment")
_OF_VOTES: Final = ("comment", "drop_votes", "allow")
_OF_LINKS: Final = ("kind", "label", "max_participants", "max_per_address", "created_by")
_ALIKE: Final = (*_OF_TOKENS, *_OF_SEVERAL, *_OF_SEARCHES, *_OF_RANGES, *_OF_POLLS, *_OF_VOTES, *_OF_LINKS)
"""Fields whose option has the same name, apart from its spelling."""

_OPTIONS: Final = {
    **{name: f"--{name.replace('_', '-')}" for name in _ALIKE},
    "scopes": "--scope",
    "sites": "--site",
    "allow_query": "--header-only",
    "allowed_ips": "--allowed-ip",
    "overlap_s": "--overlap",
    "ids": "TOKEN_ID",
    "id": "ID",
    "client_id": "CLIENT_ID",
    "public_key": "--public-key-file",
    "actor_id": "--actor",
    "newest_first": "--oldest-first",
    "participant": "--as",
    "location": "--workspace and --content",
    "options": "--option",
    "option_ids": "OPTION",
    "allow_selection_of_multiple_options": "--multiple",
    "save_participant_names": "--save-names",
    "hide_absolute_numbers": "--hide-numbers",
    "results_visibility": "--results",
    "end_date": "--ends",
    "close_poll_on_end_date": "--close-on-end",
    "if_match": "--if-match",
    "idempotency_key": "--key",
}
_AROUND: Final = ("location", "settings", "items")
"""Objects and lists whose fields have an option each."""

_PHRASES: Final = {
    "'all': true": "--all",
    "dropVotes=true": "--drop-votes",
    "wait=false": "--no-wait",
    "If-Match": "--if-match",
    "Idempotency-Key": "--key",
    "send it in the body of POST /v1/tokens/find": "`pollgate token find` finds its token",
    "use GET /v1/tokens/{id}": "use `pollgate token show`",
    "set its `self_rotation` to true": "allow it by `pollgate token change ID --self-rotation`",
    "set closePollOnEndDate to false": "add --no-close-on-end",
    "or None for no limit": "or none for no limit",
    "or None for no end": "or never for no end",
}
"""Other parts of requests that details mention, with their options."""

_CAPITAL: Final = re.compile(r"(?<=[a-z])([A-Z])")
_COMPOUND_NAME: Final = re.compile(r"\b[a-z]+(?:_[a-z]+|[A-Z][a-z]+)+\b(?!')")


def option_of(location: str, given: Mapping[str, str] = {}) -> str:
    """Return the option that sets the value at a JSON pointer, or of a query parameter; empty for a whole body.

    `given` maps pointers and parameters to options of this command that differ, such as one of several values.
    """
    outer = location
    while outer:
        if outer in given:
            return given[outer]
        outer = outer.rpartition("/")[0]
    names = [_snake_case(step) for step in location.split("/") if step and not step.isdecimal()]
    name = next((name for name in names if name not in _AROUND), "".join(names[-1:]))
    return _OPTIONS.get(name) or (f"--{name.replace('_', '-')}" if name else "")


def name_options(detail: str) -> str:
    """Return the detail of a problem with options for the fields that it mentions.

    Only names of several words are recognized: others could be prose.
    """
    for phrase, option in _PHRASES.items():
        detail = detail.replace(phrase, option)
    return _COMPOUND_NAME.sub(lambda match: _OPTIONS.get(_snake_case(match[0]), match[0]), detail)


def repeated_option(pointer: str, option: str, texts: Sequence[str]) -> dict[str, str]:
    """Return how to name each value of an option by its JSON pointer: the option with its value and position."""
    return {f"{pointer}/{index}": _value(option, text, index, len(texts)) for index, text in enumerate(texts)}


def _value(option: str, text: str, index: int, number: int) -> str:
    """Return an option with its value, as it was typed; without it where the value may be a secret."""
    position = f" (value {index + 1} of {number})" if number > 1 else ""
    return (option if SECRET_PATTERN.search(text) else f"{option} '{text}'") + position


def _snake_case(name: str) -> str:
    return _CAPITAL.sub(r"_\1", name).lower()
