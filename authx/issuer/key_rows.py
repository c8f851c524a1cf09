"""The rows of the managed signing keys: read, judged, locked, added and tidied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, ProgrammingError, models
from django.utils import timezone

from authx.conf import conf
from authx.core.key_schedule import KeyringState, KeyState, finished_for_long, judge_keys
from authx.core.keys import Key
from authx.errors import StoreUnavailable
from authx.gate.keys.managed import verify_period
from authx.issuer.private_keys import encrypt, renewed
from authx.models import SigningKey
from authx.store import database


@dataclass(frozen=True, slots=True)
class KeyringSnapshot:
    """The managed keys as one statement read them, and what each was for at that moment."""

    #: Oldest first.
    rows: tuple[SigningKey, ...]
    judged: KeyringState

    def state_of(self, row: SigningKey) -> KeyState:
        """Return what a key is for; ``RETIRED`` if its row has been deleted meanwhile."""
        return self.judged.states.get(row.kid, KeyState.RETIRED)

    def first(self, state: KeyState) -> SigningKey | None:
        """Return the first key in ``state``, in the order of their turns; None if there is none."""
        kid = self.judged.first(state)
        return next((row for row in self.rows if row.kid == kid), None)


def read_keyring() -> KeyringSnapshot:
    """Return the keyring as the writing database has it now.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        rows = tuple(key_rows().order_by("number"))
    return KeyringSnapshot(rows, judge(rows, timezone.now()))


def judge(rows: Iterable[SigningKey], now: datetime) -> KeyringState:
    """Judge what each key is for at ``now``."""
    return judge_keys((row.times() for row in rows), now=now, verify_period=verify_period())


def key_rows() -> models.QuerySet[SigningKey]:
    """Return all rows, as the writing database has them."""
    return SigningKey.objects.using(database.alias())


def locked_rows() -> list[SigningKey]:
    """Lock all rows and return them; read twice, to include those made while waiting for the lock."""
    list(key_rows().select_for_update().order_by("number"))
    return list(key_rows().select_for_update().order_by("number"))


def insert_row(
    rows: list[SigningKey], pair: tuple[Key, str, bytes], *, by: Any, at: datetime, signs_at: datetime
) -> SigningKey:
    """Add a key to the keyring that is ``rows``.

    ``pair`` is the key, its public PEM text and its private PEM bytes.
    """
    key, public, private = pair
    row = SigningKey(
        number=max((row.number for row in rows), default=0) + 1,
        kid=key.kid,
        alg=key.alg,
        public_key=public,
        encrypted_private_key=encrypt(private),
        created_at=at,
        signs_at=signs_at,
        created_by=by,
    )
    row.save(using=database.alias(), force_insert=True)
    return row


def tidy(rows: list[SigningKey], at: datetime) -> None:
    """Delete keys that are long out of use; encrypt the rest under the first SECRET_KEY."""
    times = [row.times() for row in rows]
    gone = finished_for_long(times, now=at, verify_period=verify_period(), keep=conf.RETENTION)
    if gone:
        key_rows().filter(kid__in=gone).delete()
    for row in rows:
        if row.kid not in gone and (fresh := renewed(row.encrypted_private_key)):
            row.encrypted_private_key = fresh
            row.save(using=database.alias(), update_fields=["encrypted_private_key"])
    rows[:] = [row for row in rows if row.kid not in gone]


def read_rows() -> list[SigningKey]:
    """Return all rows, oldest first; none where the tables have not been made yet.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        try:
            return list(key_rows().order_by("number"))
        except (OperationalError, ProgrammingError) as error:
            connection = database.current_connection()
            if SigningKey._meta.db_table not in connection.introspection.table_names():
                return []  # before migrate
            raise StoreUnavailable("the signing keys cannot be read") from error
