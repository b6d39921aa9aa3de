"""Text: sentences and what becomes of them."""
