"""Work on many files or images, in several processes of this machine or on a Ray cluster."""
