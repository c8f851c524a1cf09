"""Whether a save of a user stores the same password, only hashed anew: that ends no session.

Django's ``check_password`` lets its caller do so once the password has proved right, and how the user is then
saved is up to that caller: with ``update_fields`` or without, by ``set_password`` or with a hash.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from asgiref.sync import SyncToAsync
from django.contrib.auth.hashers import check_password, get_hasher, identify_hasher

from authx.store import database


def find_upgraded(sender: Any, user: Any, update_fields: Any) -> Any:
    """Return the user as stored, if the save that is about to happen only upgrades the hash; else None.

    One statement, and only where that is possible.
    """
    is_written = "password" in (vars(user) if update_fields is None else update_fields)  # not if deferred
    if not is_written or user.pk is None or user._state.adding:
        return None
    is_checked = _is_in_check_password()
    raw = vars(user).get("_password", "")
    if is_checked is False or (is_checked is None and raw == ""):
        return None
    stored = sender._base_manager.using(database.alias()).filter(pk=user.pk).first()
    if stored is None or stored.password == user.password:
        return None
    return stored if is_checked or _is_same_password(stored.password, raw) else None


def _is_in_check_password() -> bool | None:
    """Return whether ``check_password`` asks for this save; None in async code, where its frame is hidden."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is check_password.__code__:
            return True
        if frame.f_code is SyncToAsync.thread_handler.__code__:
            return None
        frame = frame.f_back
    return False


def _is_same_password(encoded: str, raw: str | None) -> bool:
    """Return whether the stored hash is an outdated one of the password just set.

    ``raw`` is None where an upgrade has hidden it, as Django's own does, from ``password_changed``.
    """
    return _is_outdated(encoded) and (raw is None or check_password(raw, encoded))


def _is_outdated(encoded: str) -> bool:
    """Return whether ``check_password`` would upgrade this hash."""
    try:
        used = identify_hasher(encoded)
    except ValueError:
        return False
    preferred = get_hasher()
    return used.algorithm != preferred.algorithm or preferred.must_update(encoded)
