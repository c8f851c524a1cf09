"""What kind of device a login comes from, where the site decides that itself."""

from __future__ import annotations

import inspect
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from authx.conf import conf


def classified(request: Any, claimed: str) -> str:
    """Return the device type that AUTHX_DEVICE_CLASSIFIER decides on; ``""`` where it leaves that to authx.

    ``claimed`` is what the client says, ``""`` if it says nothing. The site's function gets Django's request,
    or None where the session is opened without one.

    Raises:
        ImproperlyConfigured: it returns something else; nobody gets round a limit by mistake.
    """
    decide = conf.DEVICE_CLASSIFIER
    if decide is None:
        return ""
    found = decide(getattr(request, "_request", request), claimed)
    if found is None or found == "":
        return ""
    if isinstance(found, str) and found in conf.DEVICE_TYPES:
        return found
    if inspect.iscoroutine(found):
        found.close()  # else Python warns that it was never awaited
    raise ImproperlyConfigured(
        f"{decide}, which AUTHX_DEVICE_CLASSIFIER names, must return None or one of AUTHX_DEVICE_TYPES"
        f" ({', '.join(conf.DEVICE_TYPES)}). It has returned {_shown(found)}."
    )


def _shown(found: Any) -> str:
    return repr(found[:40]) if isinstance(found, str) else f"a {type(found).__name__}"
