"""A small real site on authx: pages, API and admin behind one login."""
