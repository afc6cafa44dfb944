"""The subcommands: each reads its arguments, calls the library, hands the result to a renderer."""
