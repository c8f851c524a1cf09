"""The test site with the URLs of the documentation, and the same views told to do other than by default."""

from django.http import HttpResponse
from django.urls import include, path
from django.utils.module_loading import import_string

from authx.contrib.moving.knox import Exchange as KnoxExchange
from authx.contrib.moving.simplejwt import Refresh
from authx.sessions import end_session
from tests.documented import documented
from tests.site.views import ApiWhoami
from tests.urls import urlpatterns as site


def _documented(holding):
    names = {}
    exec(documented("moving.md", "python", holding), names)
    return names


class ByKnox(ApiWhoami):
    authentication_classes = [import_string(_documented("KNOX_CLASS")["KNOX_CLASS"])]


class ByAuthToken(ApiWhoami):
    authentication_classes = [import_string(_documented("AUTHTOKEN_CLASS")["AUTHTOKEN_CLASS"])]


def end_own(request):
    """End the session of the request, and store something in its Django session all the same."""
    end_session(request.device_session, "kicked")
    request.session["note"] = "stored"
    return HttpResponse("ended")


BLOCKS = ["Obtain.as_view()", "KnoxExchange.as_view()", 'path("api/authtoken/"', "CookieRefresh.as_view()"]

urlpatterns = [
    path("judged/knox/", ByKnox.as_view()),
    path("judged/authtoken/", ByAuthToken.as_view()),
    path("api/token/refresh/blacklisting/", Refresh.as_view(blacklists=True)),
    path("api/token/refresh/patient/", Refresh.as_view(answers_until_used=True)),
    path("api/token/refresh/reusable/", Refresh.as_view(reusable=True)),
    path("api/knox/deleting/", KnoxExchange.as_view(deletes=True)),
    *(url for holding in BLOCKS for url in _documented(holding)["urlpatterns"]),
    path("end-own/", end_own),
    path("accounts/", include("allauth.urls")),
    *site,
]
