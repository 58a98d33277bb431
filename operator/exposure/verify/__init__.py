"""Real connections: what to try, which result is expected, and why a result differs.

`targets`, `expectation` and `diagnosis` are pure; `probe` connects; `pods` runs `probe` inside a cluster.
"""
