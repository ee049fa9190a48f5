"""The polls service: polls on issues and pages, behind the guard."""
