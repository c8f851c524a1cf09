"""How authx says that something will go: a warning of its own, which a site can turn into an error."""


class AuthxDeprecationWarning(DeprecationWarning):
    """Something of authx that a later release removes; the text says which one, and what to use instead."""
