"""For other services: our public keys and where to find them. Needs no DRF."""
