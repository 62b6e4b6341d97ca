"""LanceDB as its examples call it: each stage hands on only as many as are wanted."""

import lancedb_system

from measure import HITS


class System(lancedb_system.System):
    depth = HITS
