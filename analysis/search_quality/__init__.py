"""Whether each search was good enough: trials needed, edges of the box, width of brackets."""
