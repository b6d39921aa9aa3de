"""Texts: sentences and what becomes of them."""
