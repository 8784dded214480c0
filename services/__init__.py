"""The servers of the control plane: one package a service, and what they stand on."""
