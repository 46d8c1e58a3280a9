"""Recipes and models on files that somebody gives: what each becomes, where it goes, how it is signed."""
