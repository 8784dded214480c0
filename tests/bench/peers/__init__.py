"""Servers of others, installed when they are measured."""
