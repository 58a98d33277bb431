"""Flow logs: read as streams, counted in bounded memory, compared with the policies. Nothing here writes to a cluster.

The path of a line: `reading` (files to lines) → a format (line to `Flow`) → `attribution` (which Service, which peer) →
`table` (counts, bounded) → `findings` (what it means, per Exposure) → `proposal` (the policy that would fit).
"""
