"""What the supervisor starts: takes the program's lock, builds its command and environment, and becomes it."""

import os
import resource
import sys
from pathlib import Path

from deploy.local import environment, kafka, postgres
from deploy.local.place import Place

# On one machine what has been taken in goes first: a storm then waits in the inbound topic, where it costs nothing,
# instead of taking the cores from those who carry what is already here.
NICE = {"intake": 5}
FILES = 8_192  # a broker holds some per partition; many systems hand out 1,024 or fewer


def main() -> None:
    """`python -m deploy.local.program NAME`, with the place in ZHIDA_PLACE."""
    name = sys.argv[1]
    place = Place(Path(os.environ["ZHIDA_PLACE"]))
    place.hold(name)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FILES:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(hard, FILES), hard)
        )
    plain = environment.outer()
    match name:
        case "kafka":
            line, folder = kafka.command(place)
            os.chdir(folder)
            os.execve(line[0], line, plain)
        case "postgres":
            line, home = postgres.command(place)
            os.chdir(home.folder)
            if home.how == "switch":
                os.setgroups([])
                os.setgid(home.gid)
                os.setuid(home.uid)
            os.execvpe(line[0], line, plain)
        case _:
            service, _, replica = name.partition("-")
            os.chdir(place.folder)
            os.nice(NICE.get(service, 0))
            line = [environment.zhida(), service, "run"]
            os.execve(line[0], line, environment.of(place, service, int(replica or 1)))


if __name__ == "__main__":
    main()
