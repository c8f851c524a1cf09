"""A page that shows which sessions the configured limits would end today; it changes nothing."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from authx.admin.words import limit_text
from authx.conf import conf
from authx.http.words import device_type
from authx.sessions.limits import over_the_limits

#: How many sessions are listed at most.
MAX_LISTED = 200


def limits_page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the configured limits, and the live sessions beyond them."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    found = list(islice(over_the_limits(), MAX_LISTED + 1))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Session limits"),
        "opts": model_admin.opts,
        "limits": [limit_text(limit) for limit in conf.SESSION_LIMITS],
        "beyond": [
            (session, device_type(session.device_type), limit_text(limit))
            for session, limit in found[:MAX_LISTED]
        ],
        "more": len(found) > MAX_LISTED,
    }
    return TemplateResponse(request, "admin/authx/devicesession/limits.html", context)
