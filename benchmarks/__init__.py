"""How fast Zhida is, always beside a bare program that does the same on the same machine in the same run."""
