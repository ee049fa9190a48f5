"""The templates that a new poll can start from."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from services.polls.domain.poll import ResultsVisibility
from services.polls.domain.templates import Template
from services.polls.payloads.fields import Description, EndDate, Title
from services.polls.payloads.polls import OptionPayload, options_of


class TemplateSettings(Struct, frozen=True, rename="camel"):
    """The settings of a poll from the template."""

    allow_selection_of_multiple_options: bool
    results_visibility: ResultsVisibility
    end_date: EndDate
    hide_absolute_numbers: bool
    allow_revote: bool
    save_participant_names: bool
    close_poll_on_end_date: bool
    allow_comment: bool


class TemplatePayload(Struct, frozen=True):
    """A template. A poll with the options of a `scored` template has an average in its results."""

    id: Annotated[str, Meta(description="the `template` of a new poll", examples=["stars"])]
    name: Annotated[str, Meta(examples=["Stars from ⭐ to ⭐⭐⭐⭐⭐"])]
    title: Title
    description: Description
    options: list[OptionPayload]
    settings: TemplateSettings
    scored: bool

    @classmethod
    def of(cls, template: Template) -> "TemplatePayload":
        """Return the payload of a template."""
        spec = template.spec
        settings = msgspec.convert(spec.settings, TemplateSettings, from_attributes=True)
        return cls(
            template.id, template.name, spec.title, spec.description, options_of(spec), settings, template.scored
        )


class Templates(Struct, frozen=True):
    """Every template."""

    items: list[TemplatePayload]
