"""The passes, one module each. `cogc.ir.pipeline` says in which order they run."""
