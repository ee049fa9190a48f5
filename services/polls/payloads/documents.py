"""The JSON of polls and results, encoded once per version and kept.

A poll's JSON depends on its version, and on whether it is closed; its ETag changes with both. Results depend on the
revision of the ballots and on the audience too. Only the time of the results is new in each response.

A version of a poll is one object, as long as its storage keeps it, so its identity is the key; an entry keeps the
object, so that no other one can have the same identity.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from services.polls.domain.poll import Poll
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.payloads.polls import PollPayload
from services.polls.payloads.results import ResultsPayload
from services.polls.payloads.x1 import ContractPoll
from shared.runtime.process.kept_values import KeptValues

MAX_BYTES: Final = 16 * 1024 * 1024
"""The limit of all polls of one form, and of all results, that a process keeps."""
_ENTRY_BYTES: Final = 1000
"""About the memory of an entry in addition to its document, and to the poll that it keeps, which is about as large."""


class _PollForm:
    """One of the forms in which a poll is returned."""

    def __init__(self, to_payload: Callable[[PollState], Struct]) -> None:
        self._to_payload = to_payload
        self._kept: KeptValues[tuple[int, bool], tuple[Poll, bytes]] = KeptValues(MAX_BYTES)

    def encode(self, state: PollState, results: bytes | None = None) -> bytes:
        """Return the poll as JSON, with encoded results if they are given."""
        key = (id(state.poll), state.is_closed)
        kept = self._kept.get(key)
        if kept is not None and kept[0] is state.poll:
            document = kept[1]
        else:
            document = msgspec.json.encode(self._to_payload(state))
            self._kept.put(key, (state.poll, document), 2 * len(document) + _ENTRY_BYTES)
        return document if results is None else b'%b,"results":%b}' % (document[:-1], results)


class _Figures(NamedTuple):
    """The results of a poll for one audience, as JSON without their time, and what they depend on."""

    poll: Poll
    revision: int
    is_closed: bool
    document: bytes


_POLL: Final = _PollForm(PollPayload.of)
_CONTRACT_POLL: Final = _PollForm(ContractPoll.of)
_results: Final[KeptValues[tuple[int, Audience], _Figures]] = KeptValues(MAX_BYTES)

encode_poll: Final = _POLL.encode
encode_contract_poll: Final = _CONTRACT_POLL.encode


def encode_results(state: PollState, audience: Audience) -> bytes:
    """Return the results that the audience may see, as JSON."""
    key = (id(state.poll), audience)
    kept = _results.get(key)
    if (
        kept is None
        or kept.poll is not state.poll
        or kept.revision != state.revision
        or kept.is_closed != state.is_closed
    ):
        document = msgspec.json.encode(ResultsPayload.of(state.results(audience)))
        kept = _Figures(state.poll, state.revision, state.is_closed, document.partition(b",")[2])
        _results.put(key, kept, 2 * len(document) + _ENTRY_BYTES)
    return b'{"calculatedAt":%b,%b' % (msgspec.json.encode(state.at), kept.document)
