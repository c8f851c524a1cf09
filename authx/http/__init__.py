"""What the API and the pages share: cookies, the client's address, throttles. No models, no DRF."""
