"""On a cluster; Ray is imported on use."""
