"""The ops, by theme: every function here that is marked with `@op` is one; no list names them."""
