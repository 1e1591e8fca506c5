"""Imports and exports archives in the published layout of Shallue et al. 2018."""
