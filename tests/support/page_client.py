"""Use the pages of a service as a browser without scripts does: a cookie, links and forms.

Each page is checked when it is read: its tags are nested correctly, and a strict content security policy allows it.
"""

from collections.abc import Mapping, Sequence
from html import unescape
from http.cookies import SimpleCookie
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urljoin

from shared.runtime.pages.forms import FORM_TOKEN
from tests.support.html_page import HtmlPage
from tests.support.stack import Authority, Caller, Polls

SIGN_IN: Final = "/settings/sign-in"
SIGN_OUTS: Final = {"/settings/sign-out", "/manage/sign-out"}
HTML: Final = "text/html"
_CHOICES: Final = {"checkbox", "radio"}
_BUTTONS: Final = {"submit", "button", "image", "reset"}
_INLINE: Final = {"a", "code", "em", "small", "span", "strong", "time"}

FieldValue = str | Sequence[str] | None
"""The text of a field, or several; `None` leaves the field out, as a box that is not checked."""


class SignIn(NamedTuple):
    """The page to sign in, and its field for a secret."""

    path: str
    field: str


SETTINGS: Final = SignIn(SIGN_IN, "admin_key")
MANAGE: Final = SignIn("/manage/sign-in", "token")


class Form:
    """A form of a page: where it goes, and its fields as they are when the page opens."""

    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method
        self.names: set[str] = set()
        self.fields: dict[str, list[str]] = {}

    def offer(self, name: str, value: str, *, is_set: bool) -> None:
        """Add a field, with this value if it is set when the page opens."""
        self.names.add(name)
        if is_set:
            self.fields.setdefault(name, []).append(value)

    def filled(self, fields: Mapping[str, FieldValue]) -> list[tuple[str, str]]:
        """Return the names and values to send. Raise `AssertionError` for a field that the form does not have."""
        unknown = fields.keys() - self.names
        assert not unknown, f"{self.action} has no field {sorted(unknown)}, only {sorted(self.names)}"
        values = {**self.fields, **{name: _texts(value) for name, value in fields.items()}}
        return [(name, text) for name, texts in values.items() for text in texts]


class _Parser(HtmlPage):
    """Collects the forms and the visible text of a page."""

    def __init__(self, html: str) -> None:
        self.forms: list[Form] = []
        self.text = ""
        self._form: Form | None = None
        self._select = ""
        self._select_has_value = False
        self._area: list[str] = []
        self._area_name = ""
        super().__init__(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        at = {name: value or "" for name, value in attrs}
        assert "style" not in at, f"<{tag}> has a style of its own"
        assert not [name for name in at if name.startswith("on")], f"<{tag}> has a script of its own"
        assert tag != "style", "the page has styles of its own"
        assert tag != "script" or at.get("src"), "the page has a script of its own"
        if tag == "form":
            self._form = Form(at.get("action", ""), at.get("method", "get"))
            self.forms.append(self._form)
        elif tag in {"input", "button", "select", "textarea", "option"} and self._form is not None:
            self._add_field(self._form, tag, at)

    def _add_field(self, form: Form, tag: str, at: dict[str, str]) -> None:
        name, kind = at.get("name", ""), at.get("type", "submit" if tag == "button" else "text")
        if tag == "select":
            self._select, self._select_has_value = name, False
        elif tag == "option":
            self._add_option(form, at)
        elif tag == "textarea":
            self._area, self._area_name = [], name
        elif name and kind in _BUTTONS:
            form.offer(name, at.get("value", ""), is_set=False)
        elif name and kind in _CHOICES:
            form.offer(name, at.get("value", "on"), is_set="checked" in at)
        elif name:
            form.offer(name, at.get("value", ""), is_set=True)

    def _add_option(self, form: Form, at: dict[str, str]) -> None:
        """Add the first option, and in its place the selected one."""
        if "selected" in at:
            form.fields.pop(self._select, None)
        form.offer(self._select, at.get("value", ""), is_set="selected" in at or not self._select_has_value)
        self._select_has_value = True

    def handle_endtag(self, tag: str) -> None:
        super().handle_endtag(tag)
        if tag == "textarea" and self._form is not None and self._area_name:
            self._form.offer(self._area_name, "".join(self._area).removeprefix("\n"), is_set=True)
            self._area_name = ""
        if tag == "form":
            self._form = None
        if tag not in _INLINE:
            self.text += " "

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        self.text += data
        if self._area_name:
            self._area.append(data)


class Page:
    """A response: a page, or a redirect to one."""

    def __init__(self, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.path = path
        self.status = status
        self.headers = headers
        self.html = body.decode()
        is_page = headers.get("Content-Type", "").startswith(HTML)
        parser = _Parser(self.html if is_page else "")
        if is_page:
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["Cache-Control"] == "no-store"
        self.forms: Final = parser.forms
        self.links: Final = parser.references
        self.text: Final = " ".join(parser.text.split())
        """The text without tags, with single spaces."""

    @property
    def location(self) -> str:
        """Return where a redirect leads, without the origin."""
        return self.headers.get("Location", "")

    @property
    def actions(self) -> set[str]:
        """Return the paths that the forms of the page send to, except the one to sign out."""
        return {urljoin(self.path, form.action) for form in self.forms} - SIGN_OUTS

    def form(self, action: str | None = None) -> Form:
        """Return the form that sends to this path; without one, the only form besides the one to sign out."""
        paths = [urljoin(self.path, form.action) for form in self.forms]
        found = [
            form
            for form, path in zip(self.forms, paths, strict=True)
            if (path == action if action else path not in SIGN_OUTS)
        ]
        assert len(found) == 1, f"{self.path} ({self.status}) has the forms {paths}"
        return found[0]

    def value(self, name: str) -> str:
        """Return the text of the field with this id, such as that of a new secret."""
        start = self.html.index(f'id="{name}"')
        end = self.html.index("</textarea>", start)
        return unescape(self.html[self.html.index(">", start) + 1 : end]).strip()


class Browser:
    """Keeps the cookie of a session. Redirects are not followed, so that tests see them."""

    def __init__(self, service: Caller, cookies: Mapping[str, str] = {}, *, at: SignIn = SETTINGS) -> None:
        self._service = service
        self._at = at
        self._cookies = dict(cookies)

    def copy(self) -> "Browser":
        """Return another browser with the same cookies, as if these were stolen."""
        return Browser(self._service, self._cookies, at=self._at)

    @property
    def cookie(self) -> str:
        """Return the header with the cookies."""
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    async def sign_in(self, secret: str) -> Page:
        """Start a session with an admin key, or with an access token. Raise `AssertionError` if that fails."""
        page = await self.submit(self._at.path, **{self._at.field: secret})
        assert page.status == 303, page.text
        return page

    async def get(self, path: str, **query: str) -> Page:
        """Open a page."""
        return await self._send("GET", f"{path}?{urlencode(query)}" if query else path)

    async def follow(self, page: Page) -> Page:
        """Open the page that a redirect leads to."""
        assert page.status == 303, f"{page.status} {page.text}"
        return await self.get(page.location)

    async def submit(self, path: str, action: str | None = None, /, **fields: FieldValue) -> Page:
        """Open a page, fill in the form that sends to `action`, and send it; without one, the only form there."""
        page = await self.get(path)
        assert page.status == 200, f"{path}: {page.status} {page.text}"
        return await self.send(page, action, **fields)

    async def send(self, page: Page, action: str | None = None, /, **fields: FieldValue) -> Page:
        """Fill in and send a form of a page that was opened before."""
        form = page.form(action)
        assert form.method == "post", f"{form.action} is sent by {form.method}"
        return await self.post(urljoin(page.path, form.action), form.filled(fields))

    async def post(
        self, path: str, fields: Sequence[tuple[str, str]] = (), *, origin: str | None = None, **headers: str
    ) -> Page:
        """Send fields without opening a page before, by default as a page of the service does."""
        sent = {"Origin": self._service.base if origin is None else origin, **headers}
        return await self._send("POST", path, data=urlencode(fields), headers=sent)

    async def forge(self, path: str, action: str | None = None, /, **fields: FieldValue) -> list[int]:
        """Send the form of a page as a page of another site could, in several ways. Return the statuses."""
        page = await self.get(path)
        form = page.form(action)
        sent, target = form.filled(fields), urljoin(page.path, form.action)
        without_token = [(name, text) for name, text in sent if name != FORM_TOKEN]
        answers = [
            await self.post(target, without_token),
            await self.post(target, [*without_token, (FORM_TOKEN, "x" * 43)]),
            await self.post(target, sent, origin="https://elsewhere.example"),
            await self.post(target, sent, origin="null"),
            await self.post(target, sent, **{"Sec-Fetch-Site": "same-site"}),
        ]
        return [answer.status for answer in answers]

    async def _send(self, method: str, path: str, headers: Mapping[str, str] = {}, **options: Any) -> Page:
        sent = {"Accept": HTML, "Content-Type": "application/x-www-form-urlencoded", **headers}
        if self._cookies:
            sent["Cookie"] = self.cookie
        answer = await self._service(method, path, headers=sent, allow_redirects=False, **options)
        for name, morsel in SimpleCookie(answer.headers.get("Set-Cookie", "")).items():
            self._cookies[name] = morsel.value
        return Page(path, answer.status, answer.headers, answer.body)


async def sign_in(service: Caller, secret: str, *, at: SignIn = SETTINGS) -> Browser:
    """Return a browser with a session of this admin key, or of this access token."""
    browser = Browser(service, at=at)
    await browser.sign_in(secret)
    return browser


async def manage(polls: Polls, authority: Authority, *scopes: str, **fields: Any) -> Browser:
    """Return a browser that manages polls with a new token; without scopes, with the token of the client."""
    token = (await authority.issue(*scopes, **fields))["token"] if scopes else polls.token
    return await sign_in(polls, token, at=MANAGE)


async def sign_in_as(authority: Authority, role: str, **limits: Any) -> Browser:
    """Return a browser with a session of a new admin key in this role. An issuer may issue in PLAT by default."""
    usual = {"scopes": ["polls:*:PLAT"]} if role == "issuer" and not limits else {}
    body = {"name": f"the {role}", "role": role, **usual, **limits}
    answer = await authority.manage("POST", "/v1/admin-keys", body)
    assert answer.status == 201, answer.body
    return await sign_in(authority, answer.json["key"])


def _texts(value: FieldValue) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
