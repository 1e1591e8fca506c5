"""Recorded trials trained again, to verify a results folder and to diagnose its trials."""
