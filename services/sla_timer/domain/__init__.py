"""The rules of clocks, without any I/O: `policy` says how long, `clock` says when and who."""
