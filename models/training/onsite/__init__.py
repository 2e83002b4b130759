"""One camera's own place: what `gridwatch adapt` saw of it, how its camera stands, rendered objects pasted into it."""
