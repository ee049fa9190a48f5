"""A poll as the wire contract spells it. Unknown fields are ignored, for old clients live."""

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from services.polls.domain.poll import PollSpec
from services.polls.domain.state import PollState
from services.polls.payloads.polls import OptionBody, OptionPayload, SettingsPayload, drafted_options, options_of
from services.polls.payloads.results import ResultsPayload
from services.polls.payloads.texts import OPTIONS, Description, PollId, Title


class ContractPollBody(Struct, frozen=True):
    """What a client writes. Fields that are not known here are ignored, and not repeated."""

    title: Title
    options: Annotated[list[OptionBody], OPTIONS]
    id: PollId | None = None
    description: Description = ""
    settings: SettingsPayload = SettingsPayload()

    def to_draft(self) -> PollSpec:
        """The domain's draft, not yet checked."""
        return PollSpec(self.title, drafted_options(self.options), self.description, self.settings.to_settings())


class ContractPoll(Struct, frozen=True, omit_defaults=True):
    """A poll as it is answered; with `results` where `expand` asks for them."""

    id: PollId
    title: Title
    description: Description
    options: Annotated[list[OptionPayload], OPTIONS]
    settings: SettingsPayload
    results: ResultsPayload | UnsetType = UNSET

    @classmethod
    def of(cls, state: PollState, results: ResultsPayload | UnsetType = UNSET) -> "ContractPoll":
        """How the poll is shown."""
        draft = state.poll.draft
        settings = SettingsPayload.of(draft.settings)
        return cls(str(state.poll.id), draft.title, draft.description, options_of(draft), settings, results)
