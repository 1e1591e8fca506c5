"""Curves of steps against batch size.

Models, likelihood, critical batch sizes and regimes with their intervals.
"""
