"""The workloads that come with batchscale. `table` names them; they are imported when asked for."""
