"""What puts Zhida on a machine: the image, the topics, and local processes."""
