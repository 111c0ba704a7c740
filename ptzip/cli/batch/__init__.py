"""Many files: one verb on each, one after the other, in several processes, or on a cluster, always with the same results."""
