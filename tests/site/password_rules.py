"""What a site may let AUTHX_PASSWORD_LOGIN ask."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

#: (request, user) of every question.
asked: list[tuple[Any, Any]] = []


def nobody_more(request: HttpRequest, user: Any) -> None:
    """Let everybody in."""
    asked.append((request, user))


def second_factor(request: HttpRequest, user: Any) -> str:
    """Refuse everybody."""
    asked.append((request, user))
    return "second_factor_required"


def disguised(request: HttpRequest, user: Any) -> str:
    """Refuse as a wrong password is refused."""
    return "invalid_credentials"


def yes(request: HttpRequest, user: Any) -> bool:
    """Answer as AUTHX_BIND_DJANGO_LOGIN wants it."""
    return True


def no(request: HttpRequest, user: Any) -> bool:
    """Answer the other way round."""
    return False


def nothing_much(request: HttpRequest, user: Any) -> str:
    """Answer with no word."""
    return ""


def sentence(request: HttpRequest, user: Any) -> str:
    """Answer with what would break a header."""
    return 'no", error="x"\r\nSet-Cookie: a=b'


def long_word(request: HttpRequest, user: Any) -> str:
    """Answer with a word longer than any."""
    return "a" * 65


def broken(request: HttpRequest, user: Any) -> None:
    """Fail."""
    raise RuntimeError("broken")


def forbidden(request: HttpRequest, user: Any) -> None:
    """Refuse in Django's way."""
    raise PermissionDenied


async def later(request: HttpRequest, user: Any) -> None:
    """Answer asynchronously, which nobody waits for."""


class Later:
    """The same as an object."""

    async def __call__(self, request: HttpRequest, user: Any) -> None:
        """Answer asynchronously."""


later_object = Later()
