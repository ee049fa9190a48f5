"""What the authority and its guards must read alike: tokens, scopes, grants, changes. Pure, no I/O.

The entry test of this folder: would different versions on the two sides misread a message?
"""
