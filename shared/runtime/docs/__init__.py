"""The documentation of a service, as pages that need neither a network nor a script: its API and its problem types.

add_docs(app, Documentation(INFO, ROUTES, SECURITY_SCHEMES, PROBLEM_TYPES))
"""

from shared.runtime.docs.documentation import Documentation
from shared.runtime.docs.mount import add_docs

__all__ = ["Documentation", "add_docs"]
