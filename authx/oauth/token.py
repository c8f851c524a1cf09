"""The token endpoint: clients fetch their tokens (RFC 6749 §3.2)."""

from __future__ import annotations

from dataclasses import replace

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from authx import metrics
from authx.errors import OAuthError, StoreUnavailable
from authx.http import cors
from authx.http.actor import actor_of
from authx.http.renewal import never_renew
from authx.issuer.client_origins import is_registered_origin
from authx.oauth import answers
from authx.oauth.form import read_form
from authx.oauth.grants import answer
from authx.oauth.presented_client import presented_client
from authx.oauth.reading import Reading


@never_renew
@login_not_required
@csrf_exempt
@sensitive_post_parameters()
@sensitive_variables()
def token(request: HttpRequest) -> HttpResponse:
    """Answer a client with tokens, or with an error of RFC 6749 §5.2; no cache keeps either."""
    try:
        if request.method == "OPTIONS":
            return cors.preflight(request, is_registered_origin, "POST")
        may_read = cors.reader(request, is_registered_origin)  # known before anything is spent
        response = _answered(request)
        cors.allow(request, response, may_read)
    except StoreUnavailable:
        response = answers.unavailable()
    answers.forbid_caching(response)
    return response


@sensitive_variables()
def _answered(request: HttpRequest) -> HttpResponse:
    grant = ""
    try:
        form = read_form(request)
        grant = form.get("grant_type") or ""
        reading = Reading(form)
        client = presented_client(request, form, reading.find)
        actor = replace(actor_of(request, None), client_id=client.client_id)
        issued = answer(client, form, actor, reading.found)
        metrics.GRANTS.count(grant=grant, outcome="issued")
        return JsonResponse(issued)
    except StoreUnavailable:
        metrics.GRANTS.count(grant=grant, outcome="temporarily_unavailable")
        raise
    except OAuthError as error:
        metrics.GRANTS.count(grant=grant, outcome=error.error)
        return answers.refusal(error)
