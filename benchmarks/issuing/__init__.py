"""What a login and a refresh cost: authx beside its peers, and beside the bare transaction."""
