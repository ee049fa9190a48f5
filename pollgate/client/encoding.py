"""Encode arguments as parts of a request: a body, a query, a path."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pollgate.client.arguments import require_aware_times, require_identifier, require_participant, require_utf8


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are not `None`."""
    return {name: value for name, value in fields.items() if value is not None}


def query_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that are not `None` as query parameters; times have RFC 3339's format.

    Raise `InvalidArgument` for a naive time.
    """
    require_aware_times(fields)
    parameters = {name: _parameter(value) for name, value in without_none(fields).items()}
    for name, value in parameters.items():
        require_utf8(name, value)
    return parameters


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


def participant_query(participant: str | None) -> dict[str, str]:
    """Return the query for results as a participant sees them. Raise `InvalidArgument`."""
    if participant is not None:
        require_participant(participant)
    return query_of({"participant": participant})


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)
