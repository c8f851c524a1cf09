"""Backends as other packages write them."""

from django.contrib.auth.backends import BaseBackend, ModelBackend, RemoteUserBackend


class ByEmail(ModelBackend):
    """A password, under another name than the user's."""

    def authenticate(self, request, email=None, password=None, **kwargs):
        """Look the user up by address."""


class Quiet(ByEmail):
    """Only adds permissions."""


class Directory(BaseBackend):
    """A password that another server checks."""

    def authenticate(self, request, username=None, password=None, **kwargs):
        """Ask the directory."""


class Ticket(ModelBackend):
    """Single sign-on, on Django's permissions."""

    def authenticate(self, request, ticket=None, service=None):
        """Ask the ticket's issuer."""


class Anything(ModelBackend):
    """Takes what comes, and says not what."""

    def authenticate(self, request, **credentials):
        """Look at all of it."""


class TakesAll(ModelBackend):
    """Checks passwords, and names no parameter so."""

    def authenticate(self, request, **credentials):
        """Leave it to Django."""
        return super().authenticate(request, **credentials)


class Header(RemoteUserBackend):
    """The server in front has done it."""


class Useless:
    """Lets nobody in."""


def factory():
    """Make a backend where Django wants a class."""
    return ModelBackend()
