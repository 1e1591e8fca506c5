"""The archive of Shallue et al. 2018, and others in its layout: read into results, written from."""
