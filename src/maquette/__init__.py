"""Make an AI image generator of your own, from a folder of your images, on the computer you have."""
