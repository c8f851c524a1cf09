"""``SyncOrAsync``: what every middleware has in common that may stand in either kind of site."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest


class SyncOrAsync(ABC):
    """A middleware that Django calls as its neighbors: ``answer``, or in an event loop ``aanswer``."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self.aanswer(request) if self._is_async else self.answer(request)

    @abstractmethod
    def answer(self, request: HttpRequest) -> Any:
        """Return the response."""

    @abstractmethod
    async def aanswer(self, request: HttpRequest) -> Any:
        """Return the response; what reads or writes runs in a thread."""
