"""A poll to be created, from scratch or from a template."""

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from services.polls.domain.errors import InvalidPoll, Violation
from services.polls.domain.poll import Option, PollSpec, Settings, validate
from services.polls.domain.templates import find_template
from shared.contract.scope import Place


class NewPoll(Struct, frozen=True):
    """A poll to be created. A field that is not set is taken from the template.

    Without a template, `title` and `options` are required, and the other fields have defaults.
    """

    place: Place
    template: str | None = None
    title: str | UnsetType = UNSET
    options: Sequence[Option] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    settings: Settings | UnsetType = UNSET

    def to_spec(self) -> PollSpec:
        """Return the valid spec of the poll. Raise `UnknownTemplate` or `InvalidPoll`."""
        fields = {
            "title": self.title,
            "options": self.options,
            "description": self.description,
            "settings": self.settings,
        }
        given = {name: value for name, value in fields.items() if value is not UNSET}
        if self.template is not None:
            return validate(replace(find_template(self.template).spec, **given))
        missing = [name for name in ("title", "options") if name not in given]
        if missing:
            reason = "this is required, unless 'template' names a template"
            raise InvalidPoll([Violation((name,), reason) for name in missing])
        return validate(PollSpec(**given))  # type: ignore[arg-type]
