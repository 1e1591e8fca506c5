"""Recorded trials trained again.

Verification of a results folder and diagnostics of its trials build on it.
"""
