"""Where every figure and every image comes from."""
