"""The sizes that an index is cut by, apart from the code that builds one: an index's identity is told without numba."""

from typing import Final

__all__ = ["BLOCK_PASSAGES", "FREQUENT_SHARE", "SPAN", "TILE"]

TILE: Final = 64  # passages whose ceilings are added up together: four registers of 16 sums
# Passages whose ceilings of one term stand together: long enough for the processor to read ahead. An odd number of cache
# lines, or else all terms' lines would fall into a few sets of the first cache: 41 terms take half as long again with 1,024.
SPAN: Final = 15 * TILE
BLOCK_PASSAGES: Final = 8 * SPAN  # 30 KB of scores, a first cache
FREQUENT_SHARE: Final = 1 / 10  # a ceiling costs a byte of every passage, and an addition 1/40 of a posting's
