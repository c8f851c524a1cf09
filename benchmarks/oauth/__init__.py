"""What the grants of an authorization server cost: authx beside django-oauth-toolkit and Authlib."""
