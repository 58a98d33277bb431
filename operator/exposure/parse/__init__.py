"""The edge: raw API objects become values here. Past it, no code reads raw objects."""
