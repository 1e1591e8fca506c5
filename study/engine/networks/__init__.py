"""Models as the engine trains them.

Packed lanes are one traced computation, looped lanes run one by one.
"""
