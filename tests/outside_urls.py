"""The test site, and what an outside reviewer put on it."""

from __future__ import annotations

from django.contrib.auth import get_user_model, update_session_auth_hash, user_logged_in
from django.http import Http404, HttpResponse
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from tests import urls


def missing(request):
    """Know who asks, and then have nothing for them."""
    raise Http404(str(request.user))


def token_login(request):
    """Tell Django of a login that makes no Django session, as token APIs do."""
    user = get_user_model().objects.get()
    user_logged_in.send(type(user), request=request, user=user)
    return HttpResponse("a token")


def bulk_change(request):
    """Change the password past every signal, and keep this device."""
    user = request.user
    user.set_password("another-horse")
    get_user_model().objects.filter(pk=user.pk).update(password=user.password)
    update_session_auth_hash(request, user)
    return HttpResponse("changed")


class Change(APIView):
    """Change the password of whoever calls, as an API for a browser's script does."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        request.user.set_password("another-horse")
        request.user.save()
        update_session_auth_hash(request, request.user)
        return Response({})


urlpatterns = [
    path("missing/", missing),
    path("token-login/", token_login),
    path("bulk-change/", bulk_change),
    path("api/change/", Change.as_view()),
    *urls.urlpatterns,
]

#: A site that mounts none of our pages.
without_pages = [pattern for pattern in urls.urlpatterns if str(pattern.pattern) != "account/"]
