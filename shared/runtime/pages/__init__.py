"""What the pages of a service need: templates, static files, forms that cannot be forged, cookies and charts."""
