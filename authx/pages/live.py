"""``live/``: whether a page that is open is still its user's. Asked again and again, it is no use."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from authx.core.ended import Ended
from authx.errors import StoreUnavailable
from authx.http.caching import never_cache
from authx.http.cookies import session_cookies
from authx.http.framing import unframed
from authx.http.live import USER
from authx.http.outage import RETRY_AFTER_SECONDS
from authx.http.refusals import body_of, status_of
from authx.pages.texts import ended_text
from authx.sessions.open_pages import ask


@unframed
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Answer 204, or 401 with the reason and a sentence for the visitor."""
    try:
        access_token, refresh_token = session_cookies(request) or (None, None)
        found = ask(access_token, refresh_token, request.GET.get(USER, ""))
    except StoreUnavailable as error:
        response: HttpResponse = JsonResponse(body_of(error.code), status=status_of(error.code))
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    else:
        response = _refusal(found) if isinstance(found, Ended) else HttpResponse(status=204)
    never_cache(response)
    return response


def _refusal(ended: Ended) -> HttpResponse:
    detail = ended_text(ended.reason, ended.replaced_by, answers_lost=ended.answers_lost)
    body = {
        "code": "session_ended" if ended.reason else "not_authenticated",
        "reason": ended.reason,
        "detail": detail,
        "ended_at": None if ended.at is None else ended.at.isoformat(),
    }
    return JsonResponse(body, status=401)
