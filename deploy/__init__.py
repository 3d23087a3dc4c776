"""How the processes run: a supervisor on one machine, images and compose for containers."""
