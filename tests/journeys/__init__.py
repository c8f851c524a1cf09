"""What people do with authx, from the first step to the last; passes on every variant of the site."""
