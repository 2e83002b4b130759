"""Façades from seeds: what is thrown from them, what merely moves in front of them, and how a camera sees it."""
