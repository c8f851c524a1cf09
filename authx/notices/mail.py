"""The mail of a notice: in the user's language, as text and as HTML, with names that can do no harm."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import get_language, get_supported_language_variant, override
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.device import clean_text
from authx.core.user_model import email_of
from authx.http.countries import country_name
from authx.models.device_labels import shown_label
from authx.notices.links import in_language
from authx.notices.notice import HeldBack, Notice
from authx.store import database

logger = logging.getLogger("authx")

T = TypeVar("T", HeldBack, Notice)

#: Where a mail program would make a link of what somebody has named a device; a joiner, which nobody sees,
#: keeps it from that. Domains may hold signs that are no letters, and dots of other scripts (UTS #46 §2.3).
_LINK_LIKE: Final = re.compile(r"(?<=\S)(?=[.@\u3002\uff0e\uff61]\S)|(?<=\S)(?=://)")
_JOINER: Final = "\N{WORD JOINER}"
_EMPTY_LINES: Final = re.compile(r"\n\s*\n\s*\n+")


@sensitive_variables()
def send_mail(notice: Notice) -> bool:
    """Mail a notice to its user; return False if that user is gone or has no address.

    Raises:
        StoreUnavailable: the database cannot be read.
        Exception: whatever the site's templates and mail server raise; a task queue may try again.
    """
    user = _user(notice)
    address = "" if user is None else email_of(user)
    if not address:
        return False
    # Not those of whoever's request it was, such as the administrator's.
    with override(_language(user)), timezone.override(None):
        message = _message(notice, user, address)
    return message.send() > 0


def _user(notice: Notice) -> Any:
    with database.store_errors():
        # A worker has no request that says which tenant it is for.
        users = get_user_model()._default_manager.using(notice.database or database.alias())
        return users.filter(pk=notice.user_pk).first()


def _language(user: Any) -> str:
    """Return the language of the user's mail: what AUTHX_NOTICE_LANGUAGE says, where Django knows it."""
    try:
        wanted = conf.NOTICE_LANGUAGE and str(conf.NOTICE_LANGUAGE(user) or "")
    except Exception:  # the site's code, for want of which nobody shall go untold
        logger.exception("AUTHX_NOTICE_LANGUAGE has failed.", extra={"event": "notice_language_failed"})
        wanted = None
    try:
        return get_supported_language_variant(wanted) if wanted else settings.LANGUAGE_CODE
    except LookupError:
        return settings.LANGUAGE_CODE


@sensitive_variables()
def _message(notice: Notice, user: Any, address: str) -> EmailMultiAlternatives:
    context = _context(notice, user)
    name = f"authx/mail/{notice.kind}"
    # A header is one line, whatever a template of the site's puts into it.
    subject = clean_text(render_to_string(f"{name}.subject.txt", context), 200)
    text = _EMPTY_LINES.sub("\n\n", render_to_string(f"{name}.txt", context)).strip() + "\n"
    message = EmailMultiAlternatives(subject, text, to=[address])
    message.attach_alternative(render_to_string(f"{name}.html", context), "text/html")
    # RFC 3834 §5: no holiday answers.
    message.extra_headers["Auto-Submitted"] = "auto-generated"
    return message


@sensitive_variables()
def _context(notice: Notice, user: Any) -> Mapping[str, Any]:
    is_app = bool(notice.client_id)
    shown = replace(
        _as_read(notice, is_app=is_app),
        held_back=tuple(_as_read(entry, is_app=is_app) for entry in notice.held_back),
        devices_url=_in_language(notice.devices_url),
        password_reset_url=_in_language(notice.password_reset_url),
    )
    site = urlsplit(conf.ISSUER).hostname or conf.ISSUER
    more = max(0, notice.held_back_count - len(shown.held_back))
    return {"notice": shown, "user": user, "site": site, "more_held_back": more}


@sensitive_variables()
def _as_read(entry: T, *, is_app: bool) -> T:
    """Return it in the active language, with names that no mail program makes links of."""
    label = entry.device_label
    if label and not is_app:
        label = shown_label(label)
    return replace(
        entry,
        device=_unlinked(label if entry.device == entry.device_label else entry.device),
        device_label=_unlinked(label),
        country=country_name(entry.country),
        not_me_url=_in_language(entry.not_me_url),
    )


@sensitive_variables("url")
def _in_language(url: str) -> str:
    return in_language(url, get_language() or settings.LANGUAGE_CODE)


def _unlinked(name: str) -> str:
    return _LINK_LIKE.sub(_JOINER, clean_text(name, 100))
