"""`python -m reconcile`: the same as `zhida reconcile`."""

from reconcile.command import command

if __name__ == "__main__":
    command(prog_name="python -m reconcile")
