"""authx and its peers, each as its own documentation sets it up, behind one and the same view."""
