"""The test site with the views of djoser and dj-rest-auth, as they are and as the documentation has them."""

from django.urls import include, path
from djoser.views import TokenDestroyView
from rest_framework.routers import SimpleRouter

from tests.house.test_docs import FENCE, ROOT
from tests.urls import urlpatterns as site

(text,) = (
    block
    for language, block in FENCE.findall((ROOT / "docs" / "operations.md").read_text())
    if language == "python" and "tokens_after_password_change" in block and "djoser" in block
)
documented: dict[str, type] = {}
exec(text, documented)

router = SimpleRouter()
router.register("users", documented["UserViewSet"], basename="user")

urlpatterns = [
    path("djoser/", include("djoser.urls")),
    path("djoser/token/logout/", TokenDestroyView.as_view()),
    path("documented/djoser/", include(router.urls)),
    path("dj-rest-auth/", include("dj_rest_auth.urls")),
    path("documented/password/change/", documented["PasswordChange"].as_view()),
    path("documented/own/", documented["ChangePassword"].as_view()),
    *site,
]
