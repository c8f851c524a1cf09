"""The labels of devices, which are stored in English, in the language of whoever looks."""

from __future__ import annotations

from django.utils.translation import gettext as _

from authx.core.device import UNKNOWN, parts_of_label


def shown_label(label: str) -> str:
    """Return a stored label as people read it: ``Firefox on Linux``, ``Firefox auf Linux``."""
    if label in {"", UNKNOWN}:
        return _("Unknown device")
    parts = parts_of_label(label)
    if parts is None:
        return label
    # Translators: a browser or app, and what it runs on: "Firefox on Linux", "Safari on iPhone".
    return _("%(browser)s on %(system)s") % {"browser": parts[0], "system": parts[1]}
