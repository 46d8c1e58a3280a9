"""Between images and the numbers they are made from: finding, walking, steering, completing."""
