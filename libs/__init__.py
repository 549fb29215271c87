"""Libraries shared by Zhida's services."""
