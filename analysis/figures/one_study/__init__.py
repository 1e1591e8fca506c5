"""The figures of one study, a module each: the data and the drawing."""
