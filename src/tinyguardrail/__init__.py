"""TinyGuardrail: a small routed guard for the input of language models."""

__version__ = "0.1.0"
