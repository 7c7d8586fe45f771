"""A whole network on one machine: what ``minga up`` starts."""
