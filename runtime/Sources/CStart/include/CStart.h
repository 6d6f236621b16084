// Nothing to be called: what is here runs before main.
