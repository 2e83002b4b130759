"""The street detector: its network, its loss, its data, and how it is judged."""
