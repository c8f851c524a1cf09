"""This process's keys: those of the settings, and the managed ones, which change while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.apps import apps
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_files, secret_keys
from authx.core.keys import Key, KeySet
from authx.errors import KeyInvalid
from authx.gate.keys.managed import Keyring, Loader, ManagedKey
from authx.gate.ports import Port, current_database
from authx.gate.shared_copy import drop_on_change

#: Reads the managed keys of the database.
managed_keys: Port[Loader] = Port("database of signing keys")


def keyset() -> Keyring:
    """Return the keys that sign (the first) and verify (all) our access tokens.

    Each database may have managed keys of its own.

    Raises:
        KeyInvalid: an entry of AUTHX_SIGNING_KEYS is unreadable, weak or mismatched.
    """
    return keyset_of(current_database())


@cache
def keyset_of(database: str) -> Keyring:
    """Return the ``keyset`` of the database with this alias, which must be the current one."""
    configured = [_load(entry) for entry in conf.SIGNING_KEYS]
    return Keyring(KeySet(configured or [Key.derive(secret) for secret in secret_keys()]), _managed)


def _managed(known: Mapping[str, Key], now: datetime) -> Iterable[ManagedKey]:
    if managed_keys.is_open or not (apps.ready and apps.is_installed("authx")):
        return ()  # authx's tables do not exist here
    return managed_keys.provider(known, now)


@sensitive_variables()
def _load(entry: Any) -> Key:
    if not isinstance(entry, dict):
        entry = {"key": entry}
    password = entry.get("password")
    if secret_files.is_file(password):
        password = secret_files.read_secret(password)
    return Key.load(_pem(entry["key"]), alg=entry.get("alg"), password=password)


@sensitive_variables()
def _pem(source: Any) -> str | bytes:
    """Return the PEM text itself, or the content of the file of that name."""
    if secret_files.is_file(source):
        return secret_files.read_secret(source)
    text: str | bytes = source if isinstance(source, str | bytes) else str(source)
    if b"-----BEGIN" in (text.encode() if isinstance(text, str) else text):
        return text
    try:
        return Path(text if isinstance(text, str) else text.decode()).read_bytes()
    except (OSError, ValueError):
        # The text may be a mangled key rather than a path: never show it.
        raise KeyInvalid("an entry is neither PEM text nor a readable file") from None


drop_on_change(keyset_of.cache_clear, "SECRET_KEY", "SECRET_KEY_FALLBACKS", "AUTHX_SIGNING_KEYS")
