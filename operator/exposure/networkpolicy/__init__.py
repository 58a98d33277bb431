"""What NetworkPolicies mean: as values, as manifests, and the only evaluator."""
