"""Values into API objects: Exposures and the status of policies. Pure; times are given by the caller."""
