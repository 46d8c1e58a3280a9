"""What is wrong with a dataset, and repairing it: one file a check, what they share, the page that shows it."""
