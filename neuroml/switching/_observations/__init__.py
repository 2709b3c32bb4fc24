"""What is observed: one module for each family of observations, all with one protocol."""
