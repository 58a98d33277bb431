"""The operator's process: everything that uses the API server and the clock. The pure packages decide."""
