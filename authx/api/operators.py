"""Permissions that explain why they refuse, also inside a composition (``&``, ``|``, ``~``).

DRF reads ``message`` of the permission that refused, and only where that decides the request. Only there can
an exception of our own be raised: raised any earlier, it would keep ``|`` from trying its other side.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.exceptions import APIException
from rest_framework.permissions import AND, NOT, OR, BasePermission, BasePermissionMetaclass


class Composable(BasePermissionMetaclass):
    """The metaclass with DRF's operators, whose results explain their refusals as well.

    Only where DRF's own composition is on the left, as in ``(A | B) & HasScope(...)``, the result is DRF's
    and its refusal the plain one: Python asks the left side first.
    """

    def __and__(self, other: Any) -> Any:
        return _compose(AND, self, other)

    def __or__(self, other: Any) -> Any:
        return _compose(OR, self, other)

    def __rand__(self, other: Any) -> Any:
        return _compose(AND, other, self)

    def __ror__(self, other: Any) -> Any:
        return _compose(OR, other, self)

    def __invert__(self) -> Any:
        return _compose(NOT, self)


class ExplainsRefusal(BasePermission, metaclass=Composable):
    """A permission whose instance keeps the exception it would refuse with."""

    refusal: APIException | None = None

    @property
    def message(self) -> None:
        """Raise the refusal; without one, DRF gives its usual answer."""
        if self.refusal is not None:
            raise self.refusal


class Composition(ExplainsRefusal):
    """Decides as DRF's operator does; its refusal is that of the first part that has one."""

    operator: ClassVar[Any]
    parts: ClassVar[tuple[Any, ...]]

    def __init__(self) -> None:
        self._made = [part() for part in self.parts]
        self._whole = self.operator(*self._made)

    @property
    def whole(self) -> Any:
        """Return DRF's operator over the parts."""
        return self._whole

    def has_permission(self, request: Any, view: Any) -> bool:
        return self._note(self._whole.has_permission(request, view))

    def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
        return self._note(self._whole.has_object_permission(request, view, obj))

    def _note(self, allowed: bool) -> bool:
        refusals = (refusal for part in self._made if (refusal := getattr(part, "refusal", None)))
        self.refusal = None if allowed else next(refusals, None)
        return allowed


def _compose(operator: Any, *parts: Any) -> Any:
    return Composable(operator.__name__, (Composition,), {"operator": operator, "parts": parts})
