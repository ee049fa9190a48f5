"""Serve a service's documentation as HTML pages without scripts or external resources: its API and problem types.

add_docs(app, Documentation(INFO, ROUTES, SECURITY_SCHEMES, PROBLEM_TYPES))
"""

from shared.runtime.docs.documentation import Documentation
from shared.runtime.docs.mount import add_docs

__all__ = ["Documentation", "add_docs"]
