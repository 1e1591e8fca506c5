"""Whether each search was good enough.

Trials that were needed, edges of the box, width of brackets.
"""
