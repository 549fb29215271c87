"""The baselines: what one would write without Zhida, as fast and as durable as can be."""
