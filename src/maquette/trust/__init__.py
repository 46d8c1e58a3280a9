"""Where an image came from, said in a way that can be proved: manifests, keys, signatures, marks. Loads no torch."""
