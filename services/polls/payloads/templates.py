"""The templates that a new poll can be made from."""

from typing import Annotated

from msgspec import Meta, Struct

from services.polls.domain.templates import Template
from services.polls.payloads.polls import OptionPayload, SettingsPayload, options_of
from services.polls.payloads.texts import Description, Title


class TemplatePayload(Struct, frozen=True):
    """A template. The results of a poll with the options of one that is `scored` have an average."""

    id: Annotated[str, Meta(description="for `template` of a new poll", examples=["stars"])]
    name: Annotated[str, Meta(examples=["Stars from ⭐ to ⭐⭐⭐⭐⭐"])]
    title: Title
    description: Description
    options: list[OptionPayload]
    settings: SettingsPayload
    scored: bool

    @classmethod
    def of(cls, template: Template) -> "TemplatePayload":
        """How the template is shown."""
        draft = template.draft
        settings = SettingsPayload.of(draft.settings)
        return cls(
            template.id, template.name, draft.title, draft.description, options_of(draft), settings, template.scored
        )


class Templates(Struct, frozen=True):
    """Every template."""

    items: list[TemplatePayload]
