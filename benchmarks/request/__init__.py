"""What an authenticated request costs: authx beside its peers, the same DRF view behind each."""
