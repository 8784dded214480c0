"""Paths: where the directories of instances are, whether they work, what is in them."""
