"""From the template to a shop's own repository, and from a newer template into it."""
