"""A local Ray whose actors live as the nodes of a cluster would."""
