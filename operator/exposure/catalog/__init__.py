"""Facts as data, each with its source: the decision table, providers, CNIs, egress addresses, reasons."""
