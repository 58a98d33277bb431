"""Real connections, expected against seen: what to try, what must come of it, and why it came otherwise.

`targets`, `expectation` and `diagnosis` are pure; `probe` connects; `pods` runs `probe` inside a cluster.
"""
