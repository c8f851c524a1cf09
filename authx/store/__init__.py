"""The writing database and the revocation log in it; nothing else names a database alias."""
