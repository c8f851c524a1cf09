from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from demo_project import views

urlpatterns = [
    path("", views.home, name="home"),
    path("private/", views.private, name="private"),
    path("live/", views.live, name="live"),
    path("account/", include("authx.pages.urls")),
    path("api/auth/", include("authx.api.urls")),
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
