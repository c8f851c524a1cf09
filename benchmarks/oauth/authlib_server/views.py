"""The two views that Authlib's documentation has a site write."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from benchmarks.oauth.authlib_server.grants import server

PAGE = """\
<!doctype html><title>Consent</title>
<p>{{ grant.client.client_id }} asks for {{ grant.request.payload.scope }}.</p>
<form method="post">{% csrf_token %}<button name="confirm" value="yes">Allow</button></form>
"""


@login_required
def authorize(request: HttpRequest) -> Any:
    if request.method == "GET":
        grant = server.get_consent_grant(request, end_user=request.user)
        return HttpResponse(engines["django"].from_string(PAGE).render({"grant": grant}, request))
    grant = server.get_consent_grant(request, end_user=request.user)
    return server.create_authorization_response(request, grant=grant, grant_user=request.user)


@csrf_exempt
@require_http_methods(["POST"])
def token(request: HttpRequest) -> Any:
    return server.create_token_response(request)
