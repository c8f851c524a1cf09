"""The test site: every door of authx, and the views of an ordinary site beside them."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.urls import include, path

from tests.site import views

urlpatterns = [
    path("whoami/", views.whoami),
    path("async-whoami/", views.async_whoami),
    path("untouched/", views.untouched),
    path("private/", views.private),
    path("cached/", views.cached),
    path("streaming/", views.streaming),
    path("boom/", views.boom),
    path("django-login/", LoginView.as_view(template_name="site/form.html"), name="django-login"),
    path("django-logout/", LogoutView.as_view(next_page="/whoami/"), name="django-logout"),
    path(
        "password-change/",
        PasswordChangeView.as_view(template_name="site/form.html", success_url="/whoami/"),
        name="password-change",
    ),
    path("api/whoami/", views.ApiWhoami.as_view()),
    path("api/public/", views.ApiPublic.as_view()),
    path("api/auth/", include("authx.api.urls")),
    path("account/", include("authx.pages.urls")),
    path("admin/", admin.site.urls),
    path("", include("authx.wellknown.urls")),
]
