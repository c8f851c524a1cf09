"""What the API and the pages share: cookies, the client's address, notes on a request. No models, no DRF."""
