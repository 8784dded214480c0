"""The local stack: real infrastructure, the services and Envoy as supervised processes.

`scripts/up` and `scripts/down` are its doors for people, `stack.Stack` the one for programs.
"""
