"""The screens. Each shows one thing; none knows another."""
