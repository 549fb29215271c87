"""Runs the receiver kit's own command in a process that ends, in good order, when the one that started it is gone.

`python -m demo.leash simulate --config plan.json`: as `zhida-receiver simulate`, with standard input as the leash.
"""

from zhida_receiver.command import main

from deploy.local.leash import leash

if __name__ == "__main__":
    leash()
    main()
