"""What the network is measured against, and how: two plain versions of it, and one process for each that is timed."""
