"""Create a poll, from a template or from scratch."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from aiohttp import web

from services.polls.app_keys import DATABASE, FORM, POLL_READS
from services.polls.domain.errors import InvalidPoll, KeyInUse, KeyReused, TooManyStoredResponses, UnknownTemplate
from services.polls.domain.templates import TEMPLATES, find_template
from services.polls.handlers.actor import actor_of
from services.polls.operations.create import Creation, create_poll_once
from services.polls.pages import paths
from services.polls.pages.form_keys import FORM_KEY, form_key_of, new_form_key
from services.polls.pages.manage_page import manage_page
from services.polls.pages.manage_words import describe_place
from services.polls.pages.place_choice import place_choice
from services.polls.pages.poll_errors import errors_of
from services.polls.pages.poll_form import PollForm, new_poll_form, read_poll_form
from services.polls.pages.poll_preview import preview_of
from shared.contract.scope import Action, Place
from shared.guard import InsufficientScope, caller
from shared.runtime.http.query import query_of


async def show_form(request: web.Request) -> web.Response:
    """Return the form with the fields of the chosen template; without one, the templates to choose from."""
    allowed = caller(request).require_paths(Action.CREATE, ())
    chosen = query_of(request).optional("template")
    if not chosen:
        return manage_page(request, "manage_templates.html", templates=TEMPLATES)
    try:
        template = find_template(chosen)
    except UnknownTemplate:
        raise web.HTTPSeeOther(paths.NEW_POLL) from None
    return _form_page(request, new_poll_form(template, place_choice(allowed).only), new_form_key())


async def create_poll(request: web.Request) -> web.Response:
    """Create the poll of a form, or return the form with its errors, or with the rows that were asked for."""
    caller(request).require_paths(Action.CREATE, ())
    sent = request[FORM]
    form, key = read_poll_form(sent), sent.raw(FORM_KEY)
    changed = form.changed_rows(sent)
    if changed is not None or sent.has("preview"):
        return _form_page(request, changed or form, key)
    try:
        place, spec = form.to_valid(datetime.now(UTC))
        caller(request).require(Action.CREATE, place)
        creation = Creation(caller(request).site, place, spec, actor_of(request))
        response = await create_poll_once(
            request.app[DATABASE], request.app[POLL_READS], creation, form_key_of(request, form)
        )
    except InvalidPoll as error:
        return _form_page(request, form, key, errors_of(error, form))
    except InsufficientScope:
        return _form_page(request, form, key, {"workspace": _not_there(request)}, status=403)
    except TooManyStoredResponses:
        return _form_page(request, form, key, {"form": _TOO_MANY}, status=429)
    except (KeyReused, KeyInUse):
        return _form_page(request, form, new_form_key(), {"form": _SENT_BEFORE}, status=409)
    return _created(request, UUID(response.headers["Location"].rpartition("/")[2]), place, form.title)


_TOO_MANY: Final = "This token has created as many polls within a day as it may. Send the form again in ten minutes."
_SENT_BEFORE: Final = "The same form has created a poll before, with other fields. Send it again to create another one."


def _created(request: web.Request, poll_id: UUID, place: Place, title: str) -> web.Response:
    """Lead to the new poll, or say that it was created to a token that may not read it."""
    if caller(request).may(Action.READ, place):
        raise web.HTTPSeeOther(f"{paths.poll_path(poll_id)}?done=created")
    ways = [("Polls", paths.POLLS), ("Create another poll", paths.NEW_POLL)]
    if caller(request).may(Action.VOTE, place):
        ways.insert(0, ("Voting links", paths.poll_path(poll_id, "links")))
    return manage_page(
        request,
        "manage_done.html",
        status=201,
        title="Poll created",
        effects=[
            f"“{title.strip()}” was created at {describe_place(place)}.",
            f"Its id is {poll_id}. This token may not read it.",
        ],
        ways=ways,
        then=paths.POLLS,
    )


def _form_page(
    request: web.Request, form: PollForm, key: str, errors: Mapping[str, str] = {}, *, status: int = 422
) -> web.Response:
    return manage_page(
        request,
        "manage_form.html",
        status=status if errors else 200,
        poll=None,
        form=form,
        form_key=key,
        etag="",
        errors=errors,
        warnings=[],
        conflict=None,
        preview=preview_of(form),
        choice=place_choice(caller(request).find_paths(Action.CREATE)),
    )


def _not_there(request: web.Request) -> str:
    where = place_choice(caller(request).find_paths(Action.CREATE)).where
    return f"Your token may not create polls there. It may {where}."
