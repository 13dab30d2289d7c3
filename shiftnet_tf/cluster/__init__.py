"""Work on a Ray cluster; Ray is imported on use."""
