"""Time and memory of masked networks beside their standard twins and beside other adaptive convolutions."""
