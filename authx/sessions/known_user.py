"""The user of a token: a lazy object that knows its key without reading the row."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from django.contrib.auth import get_user_model


class KnownUser:
    """A lazy user known by key: ``pk`` and ``is_authenticated`` cost nothing, all else reads the row, once.

    If the token does not hold the key, ``pk`` reads the row too.
    """

    __slots__ = ("_key", "_read", "_user")

    is_authenticated = True
    is_anonymous = False

    def __init__(self, key: Any, read: Callable[[], Any]) -> None:
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "_read", read)
        object.__setattr__(self, "_user", None)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return get_user_model()  # for isinstance, as Django's own lazy objects do

    @property
    def pk(self) -> Any:
        """Return the user's key; read where the token does not hold it."""
        return self._whole().pk if self._key is None else self._key

    def _whole(self) -> Any:
        if self._user is None:
            object.__setattr__(self, "_user", self._read())
        return self._user

    def __getattr__(self, name: str) -> Any:
        model = get_user_model()
        if name == model._meta.pk.attname:
            return self.pk
        return model._meta if name == "_meta" else getattr(self._whole(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._whole(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._whole(), name)

    def __dir__(self) -> list[str]:
        return dir(self._whole())

    def __str__(self) -> str:
        return str(self._whole())

    def __repr__(self) -> str:
        return f"<KnownUser: {self._key if self._user is None else repr(self._user)}>"

    def __reduce__(self) -> Any:
        return copy, (self._whole(),)

    def __eq__(self, other: object) -> bool:
        same = getattr(getattr(other, "_meta", None), "concrete_model", None)
        return same is get_user_model()._meta.concrete_model and getattr(other, "pk", None) == self.pk

    def __hash__(self) -> int:
        return hash(self.pk)


def is_read(user: Any) -> bool:
    """Return whether nothing has to be read to use ``user``, as far as that is one of ours."""
    return type(user) is not KnownUser or user._user is not None


def read_now(user: KnownUser) -> KnownUser:
    """Return ``user`` with its row read; raises as its use would."""
    user._whole()
    return user
