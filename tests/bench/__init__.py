"""What the operator costs, measured against the least that any writer of the same policies costs."""
