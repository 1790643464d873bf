"""Runtime "ray": stages on the machines of a Ray cluster, one worker a node."""
