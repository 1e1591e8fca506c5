"""The command line.

One module for each group of commands, with the options and the terminal that they share.
"""
