"""The figures of one study, a module each: the data it draws, and the drawing."""
