"""What NetworkPolicies mean: as values, as manifests, and the evaluator that every other package asks."""
