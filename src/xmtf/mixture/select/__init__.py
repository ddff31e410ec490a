"""Which rendered examples a mixture may take: filters, the held-out guard, caps, keys."""
