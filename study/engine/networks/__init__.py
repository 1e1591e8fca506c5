"""Models as the engine trains them: packed lanes in one traced computation, or looped."""

from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks

Networks = PackedNetworks | LoopedNetwork
"""The models of several lanes, trained and measured by the same methods."""
