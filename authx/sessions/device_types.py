"""What kind of device a login comes from, where the site decides that itself."""

from __future__ import annotations

import inspect
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from authx.conf import conf


def checked(found: Any) -> str:
    """Return the type that AUTHX_DEVICE_CLASSIFIER has decided on; ``""`` where it leaves that to authx.

    Raises:
        ImproperlyConfigured: it has returned something else; nobody gets round a limit by mistake.
    """
    if found is None or found == "":
        return ""
    if isinstance(found, str) and found in conf.DEVICE_TYPES:
        return found
    if inspect.iscoroutine(found):
        found.close()  # else Python warns that it was never awaited
    raise ImproperlyConfigured(
        f"{conf.DEVICE_CLASSIFIER}, which AUTHX_DEVICE_CLASSIFIER names, must return None or one of"
        f" AUTHX_DEVICE_TYPES ({', '.join(conf.DEVICE_TYPES)}). It has returned {_shown(found)}."
    )


def _shown(found: Any) -> str:
    return repr(found[:40]) if isinstance(found, str) else f"a {type(found).__name__}"
