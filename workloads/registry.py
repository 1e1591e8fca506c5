"""stub"""
import importlib.util, sys
from workloads.workload import WorkloadError
def resolve(reference, options={}):
    path, _, name = reference.rpartition(":")
    spec = importlib.util.spec_from_file_location("wl_x", path)
    m = importlib.util.module_from_spec(spec); sys.modules["wl_x"]=m; spec.loader.exec_module(m)
    return getattr(m, name)(**options)
def names(): return []
