"""A site with views of its own, and all of ours that answer in JSON."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from tests.openapi import views

router = SimpleRouter()
router.register("groups", views.Groups)

own = [
    path("own/", include(router.urls)),
    path("own/course/", views.course),
    path("own/mixed/", views.Mixed.as_view()),
    path("own/public/", views.Public.as_view()),
    *(path(f"own/notes/{name}/", view.as_view()) for name, view in views.NOTES.items()),
]
urlpatterns = [
    *own,
    path("api/auth/", include("authx.api.urls")),
    path("account/", include("authx.pages.urls")),
    path("oauth/", include("authx.oauth.urls")),
    path("", include("authx.wellknown.urls")),
    path("schema/", SpectacularAPIView.as_view()),
    path("schema/mine/", SpectacularAPIView.as_view(serve_public=False)),
]
