"""The fast path: the same step sooner. Switched on by `plan`, switched off by `exact`; see engine/README.md."""
