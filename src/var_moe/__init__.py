"""VAR: verifiable adaptive routing for Mixtral-style language models.

A frozen table, indexed by token context, takes the place of most router calls; what it
decides follows from the table's hash and the token ids alone. The speed comes from calls
that use one expert instead of two.
"""
