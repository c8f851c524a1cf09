"""The test site with the logins of allauth and django-otp."""

from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from django.contrib.auth import authenticate, get_user_model, login
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django_otp import login as otp_login
from django_otp.models import Device
from django_otp.views import LoginView
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from authx.contrib.allauth_headless import XSessionTokenAuthentication
from authx.sessions import end_session
from tests.urls import urlpatterns as site


def prove(request: HttpRequest) -> HttpResponse:
    """Verify the visitor by a device, as a site's own view does it."""
    otp_login(request, Device.from_persistent_id(request.GET["device"]))
    if reason := request.GET.get("end"):
        end_session(request.device_session, reason)
    return HttpResponse(status=int(request.GET.get("status", 200)))


def prove_nothing(request: HttpRequest) -> HttpResponse:
    """Write to the visitor's Django session."""
    request.session["more"] = str(request.user)
    return HttpResponse()


def sign_in_and_prove(request: HttpRequest) -> HttpResponse:
    """Do both in one request."""
    login(request, authenticate(request, **{key: request.GET[key] for key in ("username", "password")}))
    return prove(request)


def sign_in_by_code(request: HttpRequest) -> HttpResponse:
    """Log somebody in as a link in a mail does, naming the backend alone."""
    user = get_user_model()._default_manager.get_by_natural_key(request.GET["username"])
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Log the visitor in once more, asking for nothing."""
    login(request, request.user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


def end_all(request: HttpRequest) -> HttpResponse:
    """End all the visitor's sessions that allauth knows, this one too."""
    end_sessions(request, list(UserSession.objects.filter(user=request.user)))
    return HttpResponse()


@api_view(["GET", "POST"])
@authentication_classes([XSessionTokenAuthentication])
@permission_classes([IsAuthenticated])
def own_api(request: Request) -> Response:
    """Answer the app in an API of the site's own."""
    return Response({"user": request.user.get_username()})


urlpatterns = [
    path("own-api/", own_api),
    path("end-all/", end_all),
    path("accounts/", include("allauth.urls")),
    path("_allauth/", include("allauth.headless.urls")),
    path("otp-login/", LoginView.as_view(template_name="site/form.html")),
    path("prove/", prove),
    path("prove-nothing/", prove_nothing),
    path("sign-in-and-prove/", sign_in_and_prove),
    path("sign-in-by-code/", sign_in_by_code),
    path("sign-in-again/", sign_in_again),
    *site,
]
