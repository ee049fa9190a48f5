"""Serve a service's documentation as HTML pages without scripts or external resources: its API and problem types.

add_docs(app, Documentation(INFO, ROUTES, SECURITY_SCHEMES, PROBLEM_TYPES, VARIABLES), url)
"""

from shared.runtime.docs.documentation import Documentation
from shared.runtime.docs.mount import add_docs
from shared.runtime.docs.variables import Variable

__all__ = ["Documentation", "Variable", "add_docs"]
