"""Every page of the polls service, with its access rule."""

from typing import Final

from shared.runtime.http.routes import Route

PAGE_ROUTES: Final[tuple[Route, ...]] = ()
