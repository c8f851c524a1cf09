"""The test site with what some sites do besides: ``settings.ROOT_URLCONF = "tests.more_urls"``."""

from django.urls import path

from tests.site import more_views
from tests.urls import urlpatterns as site

urlpatterns = [
    path("log-in/<name>/", more_views.log_in),
    path("log-in-and-take-it-back/<name>/", more_views.log_in_and_take_it_back),
    path("log-in-and-end/<name>/", more_views.log_in_and_end),
    path("change-my-password/<how>/", more_views.change_my_password),
    path("impersonate/<name>/", more_views.impersonate),
    path("log-in-twice/<first>/<second>/", more_views.log_in_twice),
    path("async-log-in/<name>/", more_views.async_log_in),
    path("api/log-in/<name>/", more_views.ApiLogIn.as_view()),
    path("end-myself/", more_views.end_myself),
    path("move-on/", more_views.move_on),
    path("redirecting/", more_views.redirecting),
    path("not-modified/", more_views.not_modified),
    path("cached-greeting/", more_views.cached_greeting),
    path("async-untouched/", more_views.async_untouched),
    path("own-login-page/", more_views.own_login_page),
    path("app/log-in/<name>/", more_views.app_log_in),
    path("app/log-in-and-fail/<name>/", more_views.app_log_in_and_fail),
    path("app/api/", more_views.app_api),
    path("app/keep/<what>/", more_views.app_keep),
    path("app/log-out/", more_views.app_log_out),
    path("app/whoami/", more_views.app_whoami),
    path("query/", more_views.query),
    path("basket/", more_views.what_is_kept),
    *site,
]
