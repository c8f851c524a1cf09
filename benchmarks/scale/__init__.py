"""Whether anything gets dearer when there are many sessions."""
