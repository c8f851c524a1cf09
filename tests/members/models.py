"""A user model that is none of Django's: no password, no last login, and no method."""

from django.db import models


class Member(models.Model):
    name = models.IntegerField(unique=True)
    card = models.CharField(max_length=32)

    USERNAME_FIELD = "name"
    REQUIRED_FIELDS = ()
    is_anonymous = False
    is_authenticated = True
