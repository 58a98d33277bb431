"""The packet lab: nodes, pods and clients as network namespaces, with real packets between them.

`python -m tests.lab` runs all of it. Everything the lab starts lives inside network namespaces it made itself.
"""
