"""Numbers read off the tables.

Steps to target, replicates, budgets, scaling rules; nothing is fitted here.
"""
