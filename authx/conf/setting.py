"""A declared setting, and the parsed values of the settings read so far."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar, overload

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.views.decorators.debug import sensitive_variables

from authx.conf.rules import Rule

T = TypeVar("T")

#: The name of our mark among the settings that Django has cached.
_MARK: Final = "_authx_mark"


class _Mark:
    """An object that Django drops together with its cached settings."""


class ParsedSettings:
    """The values of its ``Setting`` attributes, each parsed when it is first read.

    They are kept in the instance's ``__dict__``, where Python looks before it calls ``Setting``: reading one
    again calls nothing and takes no lock. All are forgotten together when any setting changes, because some
    depend on others.
    """

    __slots__ = ("__dict__", "__weakref__", "_mark", "_version")

    def __init__(self) -> None:
        self._version = object()
        self._mark: Callable[[], object] = lambda: None
        setting_changed.connect(self.forget)

    @classmethod
    def declared(cls) -> Iterator[Setting[Any]]:
        """Yield every setting, in the order of the declaration."""
        return (value for value in vars(cls).values() if isinstance(value, Setting))

    @classmethod
    def is_valid(cls) -> bool:
        """Return whether every setting keeps its own rule; ``check_settings`` reports those that do not."""
        return not any(setting.complaint() for setting in cls.declared())

    def forget(self, *args: Any, **kwargs: Any) -> None:
        """Forget every value, so that each setting is parsed again when it is read next."""
        self._version = object()  # first: a thread that is parsing now must not keep an old value
        vars(self).clear()

    def keep(self, attribute: str, make: Callable[[], T]) -> T:
        """Return what ``make`` returns, and keep it as ``attribute`` until a setting changes.

        Raises:
            ImproperlyConfigured: a setting that it reads breaks its rule.
        """
        version = self._version
        value = make()
        self._watch()
        vars(self)[attribute] = value
        if self._version is not version:
            vars(self).pop(attribute, None)
        return value

    def _watch(self) -> None:
        """Forget every value also after an ``override_settings()`` without arguments, which sends no signal.

        It precedes a ``del settings.AUTHX_...``, in pytest-django's fixture too. Django then empties its
        cache of settings, which drops our mark.
        """
        if self._mark() is None:
            self._mark = weakref.ref(vars(settings).setdefault(_MARK, _Mark()), self.forget)


class Setting(Generic[T]):
    """One setting: default and rule, both for the value as a site writes it; help text and parser.

    ``parse`` receives a value that the rule has accepted, and never None. A setting that is None and
    ``follows`` another has the value of that one.
    """

    name: str
    attribute: str

    @overload
    def __init__(self, default: T, rule: Rule, help: str) -> None: ...

    @overload
    def __init__(
        self,
        default: object,
        rule: Rule,
        help: str,
        *,
        parse: Callable[[Any], T],
        follows: Setting[Any] | None = None,
    ) -> None: ...

    def __init__(
        self,
        default: Any,
        rule: Rule,
        help: str,
        *,
        parse: Callable[[Any], T] | None = None,
        follows: Setting[Any] | None = None,
    ) -> None:
        self.default, self.rule, self.help = default, rule, help
        self._parse, self._follows = parse, follows

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.attribute = f"AUTHX_{name}", name

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...

    @overload
    def __get__(self, instance: ParsedSettings, owner: type) -> T: ...

    def __get__(self, instance: ParsedSettings | None, owner: type) -> Setting[T] | T:
        """Return the setting itself on the class, and its parsed value on an instance without it."""
        return self if instance is None else instance.keep(self.attribute, self.parsed)

    def configured(self) -> Any:
        """Return the value as the site has written it, or the default; it may break the rule."""
        value = getattr(settings, self.name, self.default)
        return self._follows.configured() if value is None and self._follows else value

    @sensitive_variables()
    def complaint(self) -> str | None:
        """Return what is wrong with the configured value, to be read after the setting's name, or None."""
        return self._complaint_about(self.configured())

    @sensitive_variables()
    def parsed(self) -> T:
        """Check and parse the configured value.

        Raises:
            ImproperlyConfigured: it breaks the rule; the text is that of the system check.
        """
        value = self.configured()
        if found := self._complaint_about(value):
            raise ImproperlyConfigured(f"{self.name} {found}.")
        parsed: T = value if value is None or self._parse is None else self._parse(value)
        return parsed

    @sensitive_variables()
    def _complaint_about(self, value: Any) -> str | None:
        try:
            return self.rule(value)
        except (TypeError, ValueError):
            return "has a value of the wrong type"


class Derived(Generic[T]):
    """A value that is worked out from settings: kept as they are, and forgotten together with them."""

    attribute: str

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        """Work it out by ``work_out``, which receives the settings."""
        self._work_out = work_out

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

    @overload
    def __get__(self, instance: None, owner: type) -> Derived[T]: ...

    @overload
    def __get__(self, instance: ParsedSettings, owner: type) -> T: ...

    def __get__(self, instance: ParsedSettings | None, owner: type) -> Derived[T] | T:
        """Return this itself on the class, and the value on an instance without it."""
        if instance is None:
            return self
        return instance.keep(self.attribute, lambda: self._work_out(instance))
