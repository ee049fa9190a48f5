"""HTTP: requests read strictly, responses and problem documents, health and metrics endpoints."""
