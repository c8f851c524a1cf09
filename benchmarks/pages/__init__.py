"""What sessions cost a page: authx beside Django's own and its peers."""
