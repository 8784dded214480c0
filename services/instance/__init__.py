"""The Instance service: what developers want their instances to be, made true.

RPCs write what is wanted (`admission`, `desires`); a level-triggered reconciler makes it so
(`decide` says what to do next, `reconciler` does it through `peers`). Changes leave through an
outbox in the record itself (`outbox`), and come back to every replica through `feed`, which
keeps `cache` fresh and `watch` going.
"""
