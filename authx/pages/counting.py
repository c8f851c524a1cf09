"""Cookies that were refused, as metrics count them."""

from __future__ import annotations

from authx import metrics
from authx.errors import AuthxError, StoreUnavailable
from authx.http.request_state import RequestState


def count_refusal(refusal: AuthxError, state: RequestState) -> None:
    """Count that cookies were refused, unless the API has; an outage counts where it is answered."""
    if state.refusal is None and not isinstance(refusal, StoreUnavailable):
        metrics.REFUSALS.count(door="pages", code=refusal.code)
