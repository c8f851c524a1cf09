from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.templatetags.static import static
from django.urls import include, path, reverse_lazy
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView

from demo_project import views

urlpatterns = [
    path("", views.home, name="home"),
    path("private/", views.private, name="private"),
    path("live/", views.live, name="live"),
    path("i18n/", include("django.conf.urls.i18n")),  # what the form for the language is sent to
    path("account/", include("authx.pages.urls")),
    path(
        "password/",
        PasswordChangeView.as_view(
            template_name="demo/password.html", success_url=reverse_lazy("authx:devices")
        ),
        name="password_change",
    ),
    path("api/auth/", include("authx.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/hello/", views.hello),
    path("api/staff/", views.staff),
    path("api/recovery-codes/", views.recovery_codes),
    path("fleet/", views.fleet, name="fleet"),
    path("api/fleet/", views.call_fleet),
    path("api/shared/", views.SharedProfile.as_view()),
    path("oauth/", include("authx.oauth.urls")),
    path("admin/", admin.site.urls),
    path("", include("authx.wellknown.urls")),
    path("favicon.ico", RedirectView.as_view(url=static("demo/icon.svg"))),
]
