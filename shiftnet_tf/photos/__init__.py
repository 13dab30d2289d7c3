"""Photos: their files, their metadata, their pixels, and windows of them."""
