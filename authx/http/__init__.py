"""What both web doors share: cookies, the client's address, throttles. No models, no DRF."""
