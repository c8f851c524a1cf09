"""The managed signing keys: made, published, withdrawn; private halves encrypted under SECRET_KEY."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.db import IntegrityError
from django.utils import timezone

from authx.core.key_schedule import IN_USE, LEAD_TIME, KeyringState, KeyState
from authx.core.keys import Key
from authx.core.sentences import Sentence
from authx.core.sentences import sentence as _
from authx.errors import StoreUnavailable
from authx.gate.keys import keyring
from authx.gate.keys.managed import ManagedKey
from authx.issuer.key_rows import insert_row, judge, locked_rows, read_rows, tidy
from authx.issuer.private_keys import ALGORITHMS, generate, key_of
from authx.models import SigningKey
from authx.store import database, revocation_log

T = TypeVar("T")


class KeyringRefused(Exception):
    """A change of the keyring that cannot be made; the text says why, and what can be done."""


def load(known: Mapping[str, Key], now: datetime) -> list[ManagedKey]:
    """Return all managed keys, decrypted if they are in use; the key objects in ``known`` are used again.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    rows = database.on_own_connection(read_rows)
    states = judge(rows, now).states
    in_use = {kid for kid, state in states.items() if state in IN_USE}
    return [ManagedKey(row.times(), key_of(row, known) if row.kid in in_use else None) for row in rows]


def settings_keys() -> tuple[Key, ...]:
    """Return the keys in the settings, which sign until the first managed key does."""
    return keyring.keyset().given


def rotate(
    *, alg: str = "ES256", at_once: bool = False, by: Any = None, now: datetime | None = None
) -> SigningKey:
    """Make the next key: published now, it signs after ``LEAD_TIME``, or now with ``at_once``.

    Also encrypts anew what a fallback of SECRET_KEY had encrypted, and deletes keys that have been out of use
    for AUTHX_RETENTION, even if no key may be made. ``at_once`` withdraws a waiting key that cannot be
    decrypted.

    Raises:
        KeyringRefused: ``alg`` is not one of ``ALGORITHMS``; or, without ``at_once``, a key is waiting
            already or the one that signs cannot be decrypted.
        StoreUnavailable: the database cannot be written.
    """
    at = now or timezone.now()
    if alg not in ALGORITHMS:
        raise KeyringRefused(_("%(alg)s is none of %(names)s.", alg=alg, names=", ".join(ALGORITHMS)))
    pair = generate(alg)

    def write() -> SigningKey | Sentence:
        rows = locked_rows()
        keyring_state = judge(rows, at)
        tidy(rows, at)
        if at_once:
            _withdraw_lost(rows, keyring_state, by, at)
        elif refusal := _refusal(rows, keyring_state):
            return refusal
        return insert_row(rows, pair, by=by, at=at, signs_at=at if at_once else at + LEAD_TIME)

    done = _change(write)
    if isinstance(done, Sentence):
        raise KeyringRefused(done)
    return done


def _refusal(rows: list[SigningKey], keyring_state: KeyringState) -> Sentence | None:
    """Return why no key may be made that waits for its turn; None if one may."""
    named = {row.kid: row for row in rows}
    if keyring_state.signing is not None and key_of(named[keyring_state.signing], {}) is None:
        return _(
            "The key that signs, %(kid)s, cannot be decrypted: is this the SECRET_KEY of all workers? If the"
            " one under which it was made is lost, rotate at once.",
            kid=keyring_state.signing,
        )
    if (waiting := keyring_state.first(KeyState.NEXT)) is not None:
        since = named[waiting].signs_at
        return _("A key is waiting already: %(kid)s signs from %(when)s on.", kid=waiting, when=_utc(since))
    return None


def _withdraw_lost(rows: list[SigningKey], keyring_state: KeyringState, by: Any, at: datetime) -> None:
    """Withdraw waiting keys that cannot be decrypted: such a key could sign nothing when its turn comes."""
    for row in rows:
        if keyring_state.states[row.kid] is KeyState.NEXT and key_of(row, {}) is None:
            _withdraw(row, by, at)


def _withdraw(row: SigningKey, by: Any, at: datetime) -> None:
    row.withdrawn_at, row.withdrawn_by = at, by
    row.save(using=database.alias(), update_fields=["withdrawn_at", "withdrawn_by"])


def withdraw(
    kid: str, *, by: Any = None, now: datetime | None = None
) -> tuple[SigningKey, SigningKey | None]:
    """Stop a key from verifying and signing, at once; if it was the signing key, the next one signs at once.

    Returns the key, and the one that signs in its place: a new one if none was waiting, None if the key was
    not the signing one.

    Raises:
        KeyringRefused: there is no such managed key, or it was withdrawn before.
        StoreUnavailable: the database cannot be written.
    """
    at = now or timezone.now()

    def write() -> tuple[SigningKey, SigningKey | None]:
        rows = locked_rows()
        row = _named(kid, rows)
        keyring_state = judge(rows, at)
        _withdraw(row, by, at)
        revocation_log.write_withdrawal(row.kid)
        successor = _succeed(rows, keyring_state, row, by, at) if keyring_state.signing == row.kid else None
        return row, successor

    return _change(write)


def _succeed(
    rows: list[SigningKey], keyring_state: KeyringState, withdrawn: SigningKey, by: Any, at: datetime
) -> SigningKey:
    """Return the waiting key, which signs from now on, or a new one of the same algorithm."""
    _withdraw_lost(rows, keyring_state, by, at)
    waiting = keyring_state.first(KeyState.NEXT)
    for row in rows:
        if row.kid == waiting and row.withdrawn_at is None:
            row.signs_at = at
            row.save(using=database.alias(), update_fields=["signs_at"])
            return row
    return insert_row(rows, generate(withdrawn.alg), by=by, at=at, signs_at=at)


def _named(kid: str, rows: list[SigningKey]) -> SigningKey:
    for row in rows:
        if row.kid == kid:
            if row.withdrawn_at is not None:
                raise KeyringRefused(
                    _("%(kid)s was withdrawn on %(when)s.", kid=kid, when=_utc(row.withdrawn_at))
                )
            return row
    if keyring.keyset().find(kid) is not None:
        raise KeyringRefused(
            _(
                "%(kid)s is a key of the settings (AUTHX_SIGNING_KEYS, or derived from SECRET_KEY): change"
                " those.",
                kid=kid,
            )
        )
    raise KeyringRefused(_("There is no managed key %(kid)s.", kid=kid))


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _change(write: Callable[[], T]) -> T:
    """Run ``write`` in one transaction, again if another was first; then reload this process's keys."""
    for _attempt in range(database.MAX_ATTEMPTS):
        try:
            done = database.transact(write)
        except IntegrityError:
            continue  # the number is taken
        database.after_commit(lambda: keyring.keyset().reload())
        return done
    raise StoreUnavailable("too many others are changing the keyring")
