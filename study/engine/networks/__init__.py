"""Models in training: packed lanes in one traced computation, or single looped lanes."""

from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks

Networks = PackedNetworks | LoopedNetwork
"""The models of several lanes, trained and measured by the same methods."""
