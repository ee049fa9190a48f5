"""The formats that the authority and its guards share: tokens, scopes, grants, changes, syncs. No I/O.

The entry test of this folder: would different versions on the two sides misread a message?
"""
