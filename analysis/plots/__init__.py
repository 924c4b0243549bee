"""Drawing functions: the Axes first, computed numbers next; nothing is saved and no pyplot is touched."""
