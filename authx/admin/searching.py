"""Search among very many sessions: by indexed columns, and only then by parts of words."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db.models import Q
from django.utils.functional import cached_property
from django.utils.text import smart_split, unescape_string_literal

from authx.conf import conf

#: How many rows a list counts and pages through at most; a narrower search shows the others.
MAX_COUNTED: Final = 10_000


class BoundedPaginator(Paginator):
    """Counts no further than ``MAX_COUNTED``: counting a million rows takes longer than showing fifty."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.order_by()[:MAX_COUNTED].count()
        return counted


def found_by(queryset: Any, term: str) -> Any:
    """Return the sessions with exactly that id, address, name, subject or client; else with every word."""
    term = term.strip()
    with suppress(ValueError):
        return queryset.filter(Q(pk=UUID(term)) | Q(subject=str(UUID(term))))
    with suppress(ValueError):  # as text it matches nothing on PostgreSQL
        address = ip_address(term)
        return queryset.filter(ip=str(getattr(address, "ipv4_mapped", None) or address))
    users = get_user_model()._default_manager
    if term and (user := users.filter(**{get_user_model().USERNAME_FIELD: term}).first()):
        return queryset.filter(user=user)
    if term and conf.SUBJECT_FIELD is not None and (found := queryset.filter(subject=term)).exists():
        return found
    if term and (found := queryset.filter(client_id=term)).exists():
        return found
    for word in _words(term):
        queryset = queryset.filter(_holds(word))
    return queryset


def _holds(word: str) -> Q:
    """Return the condition that the user or the device holds ``word``.

    Users by a subquery: a join would look them up once for each session.
    """
    users = get_user_model()._default_manager
    named = users.filter(**{f"{get_user_model().USERNAME_FIELD}__icontains": word}).values("pk")
    return Q(user__in=named) | Q(device_name__icontains=word) | Q(device_label__icontains=word)


def _words(term: str) -> list[str]:
    """Split the term as every other search of the admin does: quotes keep words together."""
    return [
        unescape_string_literal(word) if word[0] in "\"'" and word[0] == word[-1] and len(word) > 1 else word
        for word in smart_split(term)
    ]
