"""Prints the draws that injector.py is to make: `reference.py COUNT`, one a line."""

import sys

for number in range(1, int(sys.argv[1]) + 1):
    print((number * 0x5DEECE66D + 11) % (1 << 48) % 1000)
