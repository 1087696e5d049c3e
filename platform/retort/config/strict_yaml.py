"""YAML as people mean it, in the one place where it is read: settings, ``key=value`` words, prompts.

PyYAML's safe loader, except that it refuses what only looks valid: a key that is there twice (the later one would silently
win), and what is small on the disk and large or endless in memory: aliases of aliases, a node that holds itself, deep nesting.
Merge keys (``<<: *base``) work: a key of one's own beside them replaces the merged one and is no repetition.
"""

import re
from typing import Any, Final

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from retort.errors import excerpt

__all__ = ["MAX_CHARACTERS", "parse_yaml"]

MAX_CHARACTERS: Final = 256 * 1024  # PyYAML reads some 100,000 a second; a search space has a few thousand
MAX_NODES: Final = 50_000  # once aliases are written out; the largest grid has 1,000 points
MAX_DEPTH: Final = 40  # settings have five levels; Python stops at about a hundred of these
_UNUSABLE: Final = re.compile("[\0\ud800-\udfff]")  # can be written with escapes alone
_SHOWN: Final = 60  # characters of a key or a value in a message
_MERGE: Final = "tag:yaml.org,2002:merge"
_VALUE: Final = "tag:yaml.org,2002:value"


class _Refused(yaml.MarkedYAMLError):
    """A document that YAML allows and Retort does not."""

    def __init__(self, problem: str, node: Node) -> None:
        super().__init__(problem=problem, problem_mark=node.start_mark)


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[int, tuple[int, int]] = {}  # of finished nodes, aliases written out: how many, how deep

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"is nested more than {MAX_DEPTH} levels deep", problem_mark=mark)
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if not is_alias:
            self._sizes[id(node)] = self._measured(node)
        elif id(node) not in self._sizes:  # measured when it ends, and it has not: the alias stands inside it
            raise _Refused("holds itself, through an alias", node)
        return node

    def _measured(self, node: Node) -> tuple[int, int]:
        if isinstance(node, ScalarNode):
            if _UNUSABLE.search(node.value):
                raise _Refused("holds half a surrogate pair or a NUL, which no file can be named or hold", node)
            return 1, 1
        children = node.value if not isinstance(node, MappingNode) else [one for pair in node.value for one in pair]
        if isinstance(node, MappingNode):
            self._check_keys(node)
        count = 1 + sum(self._sizes[id(child)][0] for child in children)
        depth = 1 + max((self._sizes[id(child)][1] for child in children), default=0)
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise _Refused(
                f"stands for more than {MAX_NODES:,} values or {MAX_DEPTH} levels once its aliases are written out",
                node,
            )
        return count, depth

    def _check_keys(self, node: MappingNode) -> None:
        first: dict[object, int] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, CollectionNode):
                continue  # refused when it is constructed: a list is no key
            special = key_node.tag in (_MERGE, _VALUE)
            key = key_node.value if special else self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if key in first:
                there = f"on line {first[key]} already" if first[key] != line else "there already"
                way_out = "give `<<` one list of aliases" if key_node.tag == _MERGE else "remove one of the two"
                raise _Refused(f"the key {excerpt(key_node.value, _SHOWN)!r} is {there}; {way_out}", key_node)
            first[key] = line


def parse_yaml(text: str) -> Any:
    """The value of one YAML document.

    Raises:
        ValueError: If it is none, or one that is refused; the message names the line, where there are several.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read; is it another file?")
    line = ""
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        if error.problem_mark is not None and "\n" in text.strip():
            line = f"line {error.problem_mark.line + 1}: "
        problem = excerpt(str(error.problem), 4 * _SHOWN)
        own = isinstance(error, _Refused) or type(error) is yaml.MarkedYAMLError
        raise ValueError(f"{line}{problem if own else f'is no valid YAML: {problem}'}") from error
    except yaml.YAMLError as error:  # a control character
        raise ValueError(f"is no valid YAML: {excerpt(' '.join(str(error).split()), 4 * _SHOWN)}") from error
    except (ValueError, RecursionError, OverflowError) as error:  # what looks like a date and is none
        problem = excerpt(str(error), 4 * _SHOWN)
        raise ValueError(f"holds a value that YAML cannot read: {problem}; put it in quotes") from error
