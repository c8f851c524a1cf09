"""Words for what a session holds as machine words, for people of every door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext

from authx.conf import conf

#: RFC 8176 §2.
_METHODS: Final[dict[str, Any]] = {
    "pwd": _("password"),
    "otp": _("one-time code"),
    "sms": _("code by SMS"),
    "tel": _("telephone call"),
    "hwk": _("security key"),
    "swk": _("passkey"),
    "user": _("somebody was present"),
    "mfa": _("several factors"),
    "pin": _("PIN"),
    "kba": _("security question"),
    "face": _("face"),
    "fpt": _("fingerprint"),
    "sc": _("smart card"),
    "fed": _("another site's sign-in"),
}

_DEVICE_TYPES: Final[dict[str, Any]] = {
    "web": _("Browser"),
    "ios": _("iOS app"),
    "android": _("Android app"),
    "desktop": _("Desktop app"),
    "client": _("Connected app"),
    "service": _("Service"),
    "other": _("Other device"),
}


def device_type(name: str) -> Any:
    """Return the word for a device type: the site's, else ours; the name itself where there is neither."""
    return conf.DEVICE_TYPE_LABELS.get(name) or _DEVICE_TYPES.get(name, name)


def together(first: Any, second: Any) -> str:
    """Return two sentences one after the other, as the language writes them; the first if that is all."""
    if not second:
        return str(first)
    # Translators: two sentences; in a language without spaces, leave out the space between them.
    return pgettext("sentences", "%(first)s %(second)s") % {"first": first, "second": second}


def methods(amr: Sequence[str]) -> str:
    """Return the words for how somebody signed in; the value itself of one that is not known."""
    return ", ".join(str(_METHODS.get(word, word)) for word in amr)
