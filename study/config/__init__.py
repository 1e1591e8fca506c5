"""The study file as typed sections, with the rule of each key; `study.planning` has the others."""
