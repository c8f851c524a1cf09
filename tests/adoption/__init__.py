"""Sites that others have made adopt authx by the documentation alone."""
