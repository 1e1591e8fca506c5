"""The study file as typed sections.

Each key's own rule is here; rules across keys are in `study.planning`.
"""
