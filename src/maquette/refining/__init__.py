"""Refining: ops that change images or find masks in them, and recipes made of ops. Files in `ops/` hold the ops."""
