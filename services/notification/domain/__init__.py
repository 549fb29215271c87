"""The rules, without any I/O: `notice` says who hears what, `template` in which words, `channel` how it is sent."""
