"""Who a browser's request is, and what its response delivers: for all web doors. No DRF."""
