"""Django sessions in a table of the site's own, with a column that Django's does not have."""

from django.conf import settings
from django.db import models


class SiteSession(models.Model):
    """A model that is no ``AbstractBaseSession``, as that of django-user-sessions."""

    session_key = models.CharField(max_length=40, primary_key=True)
    session_data = models.TextField()
    expire_date = models.DateTimeField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, db_constraint=False)
