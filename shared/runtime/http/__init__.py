"""HTTP: strict reading of requests, responses and problem documents, health and metrics endpoints."""
