"""What a service says of itself, as pages that need neither a network nor a script: its API and its problems.

from shared.runtime.docs import DOCS_ROUTES, Documentation, add_docs

add_docs(app, Documentation(lambda: openapi_document(INFO, rows, SECURITY_SCHEMES), KINDS))
mount_guard(app, settings, public=DOCS_ROUTES)    # where the service is guarded: everyone may read them
"""

from shared.runtime.docs.documentation import Documentation
from shared.runtime.docs.mount import DOCS_ROUTES, add_docs

__all__ = ["DOCS_ROUTES", "Documentation", "add_docs"]
