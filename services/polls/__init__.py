"""The polls service: polls on Jira issues and Confluence pages. The guard authorizes every request to them."""
