"""Recorded trials trained again.

Verification of a results folder and the diagnostics of layers build on it.
"""
