"""The old credentials of a site that moves in, each of them a security scheme; see docs/moving.md.

Imported by the app ``authx.contrib.moving``, once all apps are known.
"""

from __future__ import annotations

from importlib.util import find_spec

from django.apps import apps
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme

# Defined only where their packages are in use: drf-spectacular imports the classes that they name. That of
# authtoken needs none: drf-spectacular describes what is derived from DRF's.
if find_spec("rest_framework_simplejwt"):

    class OldJWTScheme(SimpleJWTScheme):
        """``SimpleJWTAuthentication``, and what a site derives from it."""

        target_class = "authx.contrib.moving.jwt_access.SimpleJWTAuthentication"
        name = "authxOldJwt"
        match_subclasses = True
        priority = -1


if apps.is_installed("knox"):

    class OldKnoxScheme(KnoxTokenScheme):
        """``KnoxAuthentication``, and what a site derives from it."""

        target_class = "authx.contrib.moving.knox_access.KnoxAuthentication"
        name = "authxOldKnox"
        match_subclasses = True
        priority = -1
