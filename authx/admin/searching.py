"""Search among very many sessions: by indexed columns, and only then by parts of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final
from uuid import UUID

from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils.functional import cached_property
from django.utils.text import smart_split, unescape_string_literal

from authx.admin.addresses import beginning_of_address
from authx.admin.like_any import holds_any
from authx.conf import conf
from authx.models import DeviceSession

#: How many rows a list counts and pages through at most; a narrower search shows the others.
MAX_COUNTED: Final = 10_000
#: Ids of devices and parts of names are looked for in so many of the newest sessions: no index finds them.
MAX_SEARCHED: Final = 50_000
#: Words beyond these narrow nothing down any more: each is a statement.
MAX_WORDS: Final = 5
#: So many users may have the part of a name that is looked for, so that all their sessions are found.
MAX_USERS: Final = 1000


class BoundedPaginator(Paginator):
    """Counts no further than ``MAX_COUNTED``: counting a million rows takes longer than showing fifty."""

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.order_by().values("pk")[: MAX_COUNTED + 1].count()
        return counted

    @cached_property
    def count(self) -> int:
        return min(self._counted, MAX_COUNTED)

    @property
    def is_cut(self) -> bool:
        """Return whether there are more rows than are counted."""
        return self._counted > MAX_COUNTED


class FoundPaginator(BoundedPaginator):
    """Finds the rows of all its pages at once: what reads very many rows to find a few is done only once."""

    @cached_property
    def _keys(self) -> list[Any]:
        rows: Any = self.object_list
        return list(rows.values_list("pk", flat=True)[: MAX_COUNTED + 1])

    @cached_property
    def _counted(self) -> int:
        return len(self._keys)

    def found(self, first: int = 0, end: int = MAX_COUNTED) -> Any:
        """Return those of the rows that stand from ``first`` until before ``end``."""
        rows: Any = self.object_list
        return rows.filter(pk__in=self._keys[first:end])

    def page(self, number: Any) -> Any:
        found: Any = super().page(number)
        found.object_list = self.found(found.start_index() - 1, found.end_index())
        return found


class BoundedList(ChangeList):
    """Does not say how many rows a search has found where it has not counted them."""

    def get_results(self, request: Any) -> None:
        super().get_results(request)
        if not self.result_count:
            self.result_list = self.queryset.none()  # that nothing is found has been looked for once
        elif isinstance(self.paginator, FoundPaginator) and (self.show_all or not self.multi_page):
            self.result_list = self.paginator.found()
        if getattr(self.paginator, "is_cut", False):
            self.full_result_count = self.result_count  # Django shows the number where they differ


def found_by(queryset: Any, term: str) -> Any:
    """Return the sessions with exactly that id, address, name, subject or client; else with every word.

    ``203.0.113.*`` and ``2001:db8:*`` are all addresses that begin so. A name may also be an e-mail
    address, and look like an id or an IP address.
    """
    term = term.strip()
    named = _named(term) if term else Q()
    with suppress(ValueError):
        exact = queryset.filter(Q(pk=UUID(term)) | Q(subject__in={term, str(UUID(term))}) | named)
        if exact.exists() or (exact := queryset.filter(client_id=term)).exists():
            return exact
        return queryset.filter(_newest(), device_id=term)
    with suppress(ValueError):  # as text it matches nothing on PostgreSQL
        address = ip_address(term)
        return queryset.filter(Q(ip=str(getattr(address, "ipv4_mapped", None) or address)) | named)
    if (beginning := beginning_of_address(term, queryset.db)) is not None:
        return queryset.filter(beginning | named)
    if named:
        return queryset.filter(named)
    if term and conf.SUBJECT_FIELD is not None and (found := queryset.filter(subject=term)).exists():
        return found
    if term and (found := queryset.filter(client_id=term)).exists():
        return found
    words = _words(term)[:MAX_WORDS]
    if not words:
        return queryset
    newest, every, full_name, users = _newest(), Q(), Q(), _users_by_word(words)
    for word, keys in users.items():
        every &= _holds(word, keys, newest)
    if None in users.values() and len(users) > 1 and len(keys := _users_with(users)) <= MAX_USERS:
        full_name = Q(user__in=keys)  # whom all words together name, though one of them is in very many names
    return queryset.filter(every | full_name)


def _named(term: str) -> Q:
    """Return the condition for the user with exactly this name, or for those with exactly this e-mail."""
    model: Any = get_user_model()
    with suppress(ValueError, TypeError, OverflowError, ValidationError):  # a name may be a number, or an id
        if user := model._default_manager.filter(**{model.USERNAME_FIELD: term}).first():
            return Q(user=user)
    column = getattr(model, "EMAIL_FIELD", "email")
    if "@" not in term or column not in _name_columns():
        return Q()
    users = model._default_manager.filter(**{f"{column}__iexact": term}).order_by()
    keys = list(users.values_list("pk", flat=True)[:MAX_USERS])
    return Q(user__in=keys) if keys else Q()


def _newest() -> Q:
    """Return the condition for the newest ``MAX_SEARCHED`` sessions. One statement, which reads an index."""
    rows = DeviceSession.objects.order_by("-created_at").values_list("created_at", flat=True)
    first = next(iter(rows[MAX_SEARCHED : MAX_SEARCHED + 1]), None)
    return Q() if first is None else Q(created_at__gt=first)


def _holds(word: str, keys: list[Any] | None, newest: Q) -> Q:
    """Return the condition that the user or the device holds ``word``; ``keys`` are those users, if few.

    Users by their keys: a join would look them up once for each session. Of a part that very many users have,
    and of devices, only the newest sessions are searched.
    """
    on_device = Q(device_name__icontains=word) | Q(device_label__icontains=word) | Q(device_id=word)
    if keys is not None:
        return Q(user__in=keys) | (newest & on_device)
    for column in _name_columns():
        on_device |= Q(**{f"user__{column}__icontains": word})
    return newest & on_device


def _users_by_word(words: Sequence[str]) -> dict[str, list[Any] | None]:
    """Return by word the keys of the users whose names hold it; None where they are too many.

    No index finds parts of names: all users are read once for all words, and some of them once more for each
    word that very many have.
    """
    found: dict[str, list[Any] | None] = dict.fromkeys(words)
    asked = list(found)
    while asked:
        holds = {f"_holds_{number}": Q(_text__icontains=word) for number, word in enumerate(asked)}
        users = _named_users()
        users = users.filter(holds_any("_text", asked, users.db)).annotate(**holds)
        most = MAX_USERS * len(asked)
        rows = list(users.values_list("pk", *holds)[: most + 1])
        keys = {word: [row[0] for row in rows if row[n]] for n, word in enumerate(asked, start=1)}
        common = [word for word in asked if len(keys[word]) > MAX_USERS]
        asked = [word for word in asked if word not in common]
        if len(rows) <= most:  # all there are; else one word at least is common
            return found | {word: keys[word] for word in asked}
    return found


def _users_with(holders: Mapping[str, list[Any] | None]) -> list[Any]:
    """Return the keys of the users whose names hold all words, or too many. One statement at most.

    ``holders`` are the users of each word, as ``_users_by_word`` has found them.
    """
    known = [set(keys) for keys in holders.values() if keys is not None]
    users = _named_users()
    if known:
        users = users.filter(pk__in=set.intersection(*known))  # none: Django asks nobody
    for word, keys in holders.items():
        users = users.filter(_text__icontains=word) if keys is None else users
    return list(users.values_list("pk", flat=True)[: MAX_USERS + 1])


def _named_users() -> Any:
    users = get_user_model()._default_manager.order_by()
    return users.alias(_text=_together(_name_columns()))


def _together(columns: list[str]) -> Any:
    """Return these columns as one text, which is searched in half the time; no word reaches over two."""
    text = TextField()
    parts: list[Any] = []
    for column in columns:
        parts += [Value("\n", text), Coalesce(Cast(column, text), Value("", text))]
    return Concat(*parts, output_field=text)


def _name_columns() -> list[str]:
    """Return the columns of the user model by which staff may know somebody."""
    model: Any = get_user_model()
    wanted = [model.USERNAME_FIELD, getattr(model, "EMAIL_FIELD", "email"), "first_name", "last_name"]
    known = {field.name for field in model._meta.concrete_fields}
    return [name for name in dict.fromkeys(wanted) if name in known]


def _words(term: str) -> list[str]:
    """Split the term as every other search of the admin does: quotes keep words together."""
    return [
        unescape_string_literal(word) if word[0] in "\"'" and word[0] == word[-1] and len(word) > 1 else word
        for word in smart_split(term)
    ]
