"""A site moves to this version with all it has: nobody is signed out, nothing that ended lives again."""
