"""How somebody signed in, where allauth or django-otp asked for more than a password."""
