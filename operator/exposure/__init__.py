"""The Exposure operator: load balancers and NetworkPolicies, designed together."""
