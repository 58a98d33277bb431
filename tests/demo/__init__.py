"""A walk through the product: what a person would type, and what the cluster answers."""
