"""What lies on the disk: run folders, weights, digests, the index of the workspace. No torch here."""
