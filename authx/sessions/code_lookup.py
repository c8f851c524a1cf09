"""Find an authorization code with the login that it came from: one statement, judged from one value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Subquery

from authx.core.codes import CodeSnapshot
from authx.core.reasons import EndReason
from authx.models import AuthorizationCode, DeviceSession, NotBeforeMark, ServiceClient, is_marked
from authx.sessions.liveness import end_of
from authx.sessions.lookup import Snapshot, find_by_sid
from authx.sessions.not_before import apply_mark
from authx.store import database
from authx.store.compiled import Compiled, Given, names_of
from authx.store.database import DatabaseNow


@dataclass(frozen=True, slots=True)
class FoundCode:
    """A code as one statement found it."""

    row: AuthorizationCode
    #: The login that consented, or the one that continues it after a step-up; with its user.
    login: Snapshot
    #: The database's clock as the row was read.
    now: datetime
    #: The number of the newest not-before mark then.
    not_before_number: int

    def facts(self, client: ServiceClient, now: datetime) -> CodeSnapshot:
        """Return what the rules ask about it, for the authenticated ``client``.

        If the user's own state has ended the login, that is recorded.

        Raises:
            StoreUnavailable: the backend that signed the user in has failed.
        """
        end = end_of(self.login, now)
        return CodeSnapshot(
            client_id=client.client_id if self.row.client_id == client.pk else "",
            redirect_uri=self.row.redirect_uri,
            challenge=self.row.challenge,
            expires_at=self.row.expires_at,
            redeemed_at=self.row.redeemed_at,
            login_live=end is None,
            user_active=end is None,
            client_enabled=client.disabled_at is None,
        )


def hash_of(code: str) -> str:
    """Return what is stored of a code: SHA-256 hex. It has 256 random bits, so that no salt is needed."""
    return sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def find_code(code: str) -> FoundCode | None:
    """Return the code with its login and user; None if there is none. One statement.

    One more for each step-up since.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        row = _CODE.first({"code_hash": hash_of(code)})
    if row is None:
        return None
    return _built(row)


def _statement(alias: str) -> Any:
    newest = NotBeforeMark.objects.order_by("-number").values("number")[:1]
    found = AuthorizationCode.objects.using(alias).filter(code_hash=Given("code_hash")).order_by()
    found = found.annotate(
        _clock=DatabaseNow(output_field=models.DateTimeField()),
        _newest=Subquery(newest),
        _marked=is_marked("login__"),
    )
    of_login = [f"login__{name}" for name in names_of(DeviceSession)]
    of_user = [f"login__user__{name}" for name in names_of(get_user_model())]
    return found.values_list(
        *names_of(AuthorizationCode), *of_login, *of_user, "_clock", "_newest", "_marked"
    )


#: Compiled once: three tables wide, it costs more to build than to run.
_CODE: Final = Compiled(_statement)


def _built(values: list[Any]) -> FoundCode:
    alias, user_model = database.alias(), get_user_model()
    row, values = _taken(AuthorizationCode, values, alias)
    login, values = _taken(DeviceSession, values, alias)
    user, values = _taken(user_model, values, alias)
    clock, newest, is_hit = values
    DeviceSession._meta.get_field("user").set_cached_value(login, None if login.user_id is None else user)
    AuthorizationCode._meta.get_field("login").set_cached_value(row, login)
    found = Snapshot(login, clock, bool(is_hit), has_withdrawn_key=False)
    if found.is_marked and login.ended_at is None:
        apply_mark(login)
    return FoundCode(row, _continued(found), clock, newest or 0)


def _taken(model: type[models.Model], values: list[Any], alias: str) -> tuple[Any, list[Any]]:
    """Return what the first values make, and the others."""
    names = names_of(model)
    return model.from_db(alias, names, values[: len(names)]), values[len(names) :]


def _continued(found: Snapshot) -> Snapshot:
    """Return the login that continues this one after any number of step-ups; itself if none does."""
    while _was_stepped_up(found.session) and found.session.successor is not None:
        successor = find_by_sid(found.session.successor)
        if successor is None:
            break
        found = successor
    return found


def _was_stepped_up(login: DeviceSession) -> bool:
    """Return whether it ended by a step-up: after its own password change the code is dead (C8)."""
    return login.end_reason == EndReason.SUPERSEDED and login.successor not in (None, login.pk)
