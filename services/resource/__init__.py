"""The Resource service: port ranges, the workloads that run editors, and what they use."""
