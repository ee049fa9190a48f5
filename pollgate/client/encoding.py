"""Encode arguments as parts of a request: a body, a query, a path."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pollgate.client.arguments import require_aware_times, require_identifier, require_participant, require_utf8

Query = Mapping[str, str | list[str]]
"""The parameters of a query. One with a list is repeated."""


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are not `None`."""
    return {name: value for name, value in fields.items() if value is not None}


def query_of(fields: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Return the fields that are not `None` as query parameters; times have RFC 3339's format.

    A list is a parameter that is repeated, and an empty one is left out. Raise `InvalidArgument` for a naive time.
    """
    require_aware_times(fields)
    return {name: _parameters(name, value) for name, value in without_none(fields).items() if value != []}


def path_segment(argument: str, identifier: str) -> str:
    """Return an id as a segment of a path. Raise `InvalidArgument`, which names the argument."""
    require_identifier(argument, identifier)
    return quote(identifier, safe="")


def poll_path(poll_id: str) -> str:
    """Return the path of a poll. Raise `InvalidArgument`."""
    return f"/v1/polls/{path_segment('poll_id', poll_id)}"


def ballot_path(poll_id: str, participant: str) -> str:
    """Return the path of a participant's ballot; the participant's id may be any text. Raise `InvalidArgument`."""
    require_participant(participant)
    # A segment of dots alone would be resolved as a relative path.
    segment = quote(participant, safe="").replace(".", "%2E")
    return f"{poll_path(poll_id)}/votes/{segment}"


def participant_query(participant: str | None) -> dict[str, str | list[str]]:
    """Return the query for results as a participant sees them. Raise `InvalidArgument`."""
    if participant is not None:
        require_participant(participant)
    return query_of({"participant": participant})


def _parameters(name: str, value: Any) -> str | list[str]:
    return [_parameter(name, each) for each in value] if isinstance(value, list) else _parameter(name, value)


def _parameter(name: str, value: Any) -> str:
    text = str(value)
    if isinstance(value, bool):
        text = text.lower()
    elif isinstance(value, datetime):
        text = value.isoformat()
    require_utf8(name, text)
    return text
