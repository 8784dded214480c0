"""Quota: what each namespace may hold at once, and what its instances hold of it."""
