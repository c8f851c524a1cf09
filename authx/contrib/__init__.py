"""Optional integrations, one file each; nothing inside authx imports them."""
