"""The edge: raw API objects become values once, here, and nobody past this point indexes into JSON."""
