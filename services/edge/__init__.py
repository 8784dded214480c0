"""The door's judgement: sign-in, the pages at `/`, and who may reach which editor.

Plain HTTP behind Envoy, which asks `/authz/…` about every request to an editor and passes
`/`, `/auth/…` and `/console/…` on as they are.
"""
