"""The key to the user of a session, which knows who is deleted together: Django announces them one by one."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

from django.db import models
from django.db.models.deletion import Collector

#: An instance that is about to be deleted, and the model that Django announces it as.
Announced = tuple[type[models.Model], Any]


class OwnerKey(models.ForeignKey[Any, Any]):
    """A foreign key that is set to NULL, and that remembers who collects its targets for a deletion.

    Migrations see Django's own field.
    """

    def __init__(self, to: Any, on_delete: Any, **kwargs: Any) -> None:
        """Make a key with ``on_delete=SET_NULL``, in whatever way that is written."""
        super().__init__(to, _set_null, **kwargs)

    def deconstruct(self) -> Any:
        """Return what migrations write: Django's own foreign key."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.ForeignKey", args, {**kwargs, "on_delete": models.SET_NULL}


class _Collectors(threading.local):
    """The deletions that this thread prepares or makes, and whom each is still to announce, by ``id``."""

    def __init__(self) -> None:
        self.waiting: WeakKeyDictionary[Collector, set[int]] = WeakKeyDictionary()


_collectors = _Collectors()


def _set_null(collector: Collector, field: Any, sub_objs: Any, using: str) -> None:
    _collectors.waiting.setdefault(collector, set())
    models.SET_NULL(collector, field, sub_objs, using)


_set_null.lazy_sub_objs = True  # type: ignore[attr-defined]  # as SET_NULL: no row is read


def deleted_together(
    sender: type[models.Model], instance: Any, origin: Any, base: type[models.Model]
) -> list[Announced]:
    """Return all whom the deletion that announces ``instance`` deletes: of ``base``, or of a model below it.

    Empty for those whom it has returned before. A deletion that is not known deletes ``instance`` alone.
    """
    for collector, waiting in list(_collectors.waiting.items()):
        if collector.origin is not origin:
            continue
        if id(instance) in waiting:
            waiting.remove(id(instance))
            return []
        if _is_deleting(collector, instance):
            found = [pair for pair in collector.instances_with_model() if issubclass(pair[0], base)]
            waiting.clear()  # of an attempt that was given up
            waiting.update(id(one) for _model, one in found if one is not instance)
            return found
    return [(sender, instance)]


def _is_deleting(collector: Collector, instance: Any) -> bool:
    """Return whether this very object is being deleted, and not just collected, as the admin lists it."""
    found = collector.data.get(type(instance))
    return isinstance(found, list) and any(one is instance for one in found)
