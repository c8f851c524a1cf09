"""Backends that decide about users after their login too, and managers that hide some."""

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import UserManager
from django.db.models import Manager, QuerySet


class Banning(ModelBackend):
    """Refuses by a rule of the site."""

    def user_can_authenticate(self, user):
        """Refuse whoever has moved to the banned domain."""
        return super().user_can_authenticate(user) and not user.email.endswith("@banned.example")


class Finding(ModelBackend):
    """Finds only some users."""

    def get_user(self, user_id):
        """Leave out the banned domain."""
        user = super().get_user(user_id)
        return None if user is None or user.email.endswith("@banned.example") else user


class Demanding(ModelBackend):
    """Finds users by a manager that raises for those it hides, as many sites write it."""

    def get_user(self, user_id):
        """Let DoesNotExist pass."""
        return get_user_model()._default_manager.exclude(email__endswith="@banned.example").get(pk=user_id)


class Neither(ModelBackend):
    """Overrides what has nothing to do with it."""

    def authenticate(self, request, ticket=None):
        """Ask the ticket's issuer."""


class Bare:
    """Has no method to ask; nor has a ``BaseBackend`` that implements none."""

    def authenticate(self, request, username=None, password=None):
        """Ask a directory."""


class Based(BaseBackend):
    """The same, on Django's base class."""

    def authenticate(self, request, username=None, password=None):
        """Ask a directory."""


class TakesAnybody(Bare):
    """Asks nothing."""

    def authenticate(self, request, username=None, password=None):
        """Take the first user."""
        return get_user_model()._default_manager.first()


class Failing(ModelBackend):
    """Asks a server that is down."""

    def user_can_authenticate(self, user):
        """Fail."""
        raise ConnectionError("the directory is down")


def made():
    """Make a backend where Django wants a class."""
    return Banning()


class Hiding(UserManager):
    """Hides whoever is soft-deleted."""

    def get_queryset(self):
        """Leave out the banned domain."""
        return super().get_queryset().exclude(email__endswith="@banned.example")


class HidingQuerySet(QuerySet):
    """Hides them in the code of a queryset."""

    def get(self, *args, **kwargs):
        """Leave out the banned domain."""
        return self.exclude(email__endswith="@banned.example").get_plainly(*args, **kwargs)

    def get_plainly(self, *args, **kwargs):
        """Find as Django does."""
        return QuerySet.get(self, *args, **kwargs)


HidingByQuerySet = Manager.from_queryset(HidingQuerySet)


class Joining(UserManager):
    """Hides nobody."""

    def get_queryset(self):
        """Order and load more."""
        return super().get_queryset().order_by("pk").prefetch_related()
