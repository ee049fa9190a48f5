"""The JSON of polls and results, encoded once per version and kept.

A poll's JSON depends on its version, and on whether it is closed; its ETag changes with both. Results depend on the
revision of the ballots and on the audience too. Only the time of the results is new in each response.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.payloads.polls import PollPayload
from services.polls.payloads.results import ResultsPayload
from services.polls.payloads.x1 import ContractPoll
from shared.runtime.process.kept_values import KeptValues

MAX_BYTES: Final = 16 * 1024 * 1024
"""The limit of all polls of one form, and of all results, that a process keeps."""
_KEY_BYTES: Final = 400
"""About the memory of a key, in addition to its value."""

_Version = tuple[UUID, int, datetime, bool]
_Results = tuple[_Version, int, Audience]


class _PollForm:
    """One of the forms in which a poll is returned."""

    def __init__(self, to_payload: Callable[[PollState], Struct]) -> None:
        self._to_payload = to_payload
        self._kept: KeptValues[_Version, bytes] = KeptValues(MAX_BYTES)

    def encode(self, state: PollState, results: bytes | None = None) -> bytes:
        """Return the poll as JSON, with encoded results if they are given."""
        version = _version_of(state)
        document = self._kept.get(version)
        if document is None:
            document = msgspec.json.encode(self._to_payload(state))
            self._kept.put(version, document, len(document) + _KEY_BYTES)
        return document if results is None else b'%b,"results":%b}' % (document[:-1], results)


_POLL: Final = _PollForm(PollPayload.of)
_CONTRACT_POLL: Final = _PollForm(ContractPoll.of)
_results: Final[KeptValues[_Results, bytes]] = KeptValues(MAX_BYTES)

encode_poll: Final = _POLL.encode
encode_contract_poll: Final = _CONTRACT_POLL.encode


def encode_results(state: PollState, audience: Audience) -> bytes:
    """Return the results that the audience may see, as JSON."""
    key = (_version_of(state), state.revision, audience)
    figures = _results.get(key)
    if figures is None:
        document = msgspec.json.encode(ResultsPayload.of(state.results(audience)))
        figures = document.partition(b",")[2]
        _results.put(key, figures, len(figures) + _KEY_BYTES)
    return b'{"calculatedAt":%b,%b' % (msgspec.json.encode(state.at), figures)


def _version_of(state: PollState) -> _Version:
    poll = state.poll
    return poll.id, poll.version, poll.updated_at, state.is_closed
