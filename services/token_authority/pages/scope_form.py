"""The scope builder: rows of actions and a place, and apart from them the scope for every workspace."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.token_fields import MAX_SCOPES, validate_scopes
from services.token_authority.pages.words import describe_scope
from shared.contract.scope import ALL_ACTIONS, WILDCARD, Action, Scope
from shared.runtime.pages.forms import Form

ACTIONS: Final[tuple[tuple[str, str], ...]] = (
    (Action.READ, "read"),
    (Action.CREATE, "create"),
    (Action.UPDATE, "change"),
    (Action.DELETE, "delete"),
    (Action.VOTE, "vote"),
    (Action.RESULTS, "see results"),
    (WILDCARD, "everything, also what later releases add"),
)
"""The boxes of a row, each with its label."""


ANY: Final = "ANY"
"""A word for every workspace, which people enter as the name of one by mistake."""


class ScopeRow(NamedTuple):
    """One row of the builder: the checked boxes, and the names of a place from the widest on."""

    actions: tuple[str, ...] = ()
    workspace: str = ""
    content: str = ""
    container: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was entered."""
        return not any(self)


class ScopeForm(NamedTuple):
    """The rows, and the boxes for every workspace."""

    rows: tuple[ScopeRow, ...] = (ScopeRow(),)
    everywhere: tuple[str, ...] = ()

    def to_texts(self) -> list[str]:
        """Return the scopes. Raise `InvalidValue` for a row that is not complete, or without any scope."""
        texts, error = self.read()
        if error is not None:
            raise error
        return texts

    def read(self) -> tuple[list[str], InvalidValue | None]:
        """Return the scopes of the complete rows, and what is missing in the others, if anything."""
        texts: list[str] = []
        missing: InvalidValue | None = None
        for number, row in enumerate(self.rows, start=1):
            try:
                if not row.is_empty:
                    texts.append(_scope_text(row.actions, _path(row, number), number))
            except InvalidValue as error:
                missing = missing or error
        if self.everywhere:
            texts.append(_scope_text(self.everywhere, (), 0))
        if not texts and missing is None:
            missing = InvalidValue(("scopes",), "choose what the token may do, and where")
        return texts, missing

    def require_names(self) -> None:
        """Raise `InvalidValue` if a row has the word for every workspace as the name of one.

        Only a new token is checked: one that the API has issued for a workspace of this name can be changed.
        """
        if any(row.workspace == ANY for row in self.rows):
            raise InvalidValue(("scopes",), "no workspace is called ANY; open Every workspace below instead")

    def with_row(self) -> "ScopeForm":
        """Return the builder with another empty row."""
        return self._replace(rows=(*self.rows, ScopeRow()))


class ScopePreview(NamedTuple):
    """What the builder comes to: each scope with its sentence, and what is missing."""

    scopes: Sequence[tuple[str, str]] = ()
    error: str = ""


def read_scope_form(form: Form) -> ScopeForm:
    """Return the builder as it was sent."""
    rows: list[ScopeRow] = []
    while len(rows) < MAX_SCOPES and form.has(f"scope-{len(rows)}-workspace"):
        name = f"scope-{len(rows)}"
        places = (form.text(f"{name}-{segment}") for segment in ("workspace", "content", "container"))
        rows.append(ScopeRow(_known(form.all(f"{name}-action")), *places))
    return ScopeForm(tuple(rows) or (ScopeRow(),), _known(form.all("everywhere-action")))


def scope_form_of(scopes: Sequence[Scope]) -> ScopeForm:
    """Return the builder that comes to these scopes."""
    rows = [ScopeRow(_boxes(scope), *scope.path) for scope in scopes if scope.path]
    everywhere = {box for scope in scopes if not scope.path for box in _boxes(scope)}
    return ScopeForm(tuple(rows) or (ScopeRow(),), tuple(box for box, _ in ACTIONS if box in everywhere))


def preview(scope_form: ScopeForm) -> ScopePreview:
    """Return what the builder comes to."""
    texts, missing = scope_form.read()
    try:
        scopes = validate_scopes(texts) if texts else ()
    except InvalidValue as error:
        return ScopePreview(error=error.reason)
    shown = [(str(scope), f"{describe_scope(scope)}.") for scope in scopes]
    return ScopePreview(shown, missing.reason if missing else "")


def _known(boxes: Sequence[str]) -> tuple[str, ...]:
    return tuple(box for box, _ in ACTIONS if box in boxes)


def _boxes(scope: Scope) -> tuple[str, ...]:
    return (WILDCARD,) if scope.is_wildcard else tuple(action for action in Action if action in scope.actions)


def _path(row: ScopeRow, number: int) -> tuple[str, ...]:
    if not row.workspace:
        raise InvalidValue(("scopes",), f"enter the workspace of place {number}, such as PLAT")
    if row.container and not row.content:
        raise InvalidValue(("scopes",), f"enter the content of place {number}, which its container belongs to")
    return tuple(name for name in row[1:] if name)


def _scope_text(boxes: Sequence[str], path: tuple[str, ...], number: int) -> str:
    if not boxes:
        raise InvalidValue(("scopes",), f"choose what the token may do in place {number}")
    if WILDCARD in boxes:
        return str(Scope(ALL_ACTIONS, path, is_wildcard=True))
    return str(Scope(frozenset(map(Action, boxes)), path))
