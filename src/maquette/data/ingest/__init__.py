"""From sources to a dataset: what there is, what becomes of each file, going on where it was stopped."""
