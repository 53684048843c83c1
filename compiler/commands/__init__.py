"""One module per subcommand: `add_arguments(parser)`, `run(arguments) -> exit code`, `EXAMPLES`."""
