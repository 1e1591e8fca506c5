"""Whether each search was good enough: trials, edges of the box, width of brackets."""
