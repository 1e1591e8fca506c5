"""Programs as workloads: `workload = "command"` and its options."""
