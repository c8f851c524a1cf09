"""Whether a part of authx is mounted in the site's URLs, for the checks that hang on it."""

from __future__ import annotations

from django.urls import reverse


def is_mounted(name: str) -> bool:
    """Return whether the URLs have ``name``, such as ``"authx:login"``.

    False too where there are none, as in a worker's settings, or they cannot be read: Django reports that.
    """
    try:
        reverse(name)
    except Exception:  # whatever a site's URLconf raises as it is imported
        return False
    return True
