"""The demo's films: each module tells one story with the world's objects and names what should be noticed in it."""
