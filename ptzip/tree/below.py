"""Whether anything at or below a node fits a question that many nodes of a tree are asked: each node is looked at once."""

from collections.abc import Callable, Iterator

from ptzip.pickling.nodes import Node, children


class Below:
    """Answers whether any node at or below another `fits`; the tree must not change meanwhile.

    What is nested or shared is not walked again: the nodes above a fitting one are known to hold it, and so are those in a
    cycle with them; the strongly connected nodes (Tarjan) below which nothing fits are known to hold nothing.
    """

    def __init__(self, fits: Callable[[Node], bool]) -> None:
        self.fits = fits
        self.known: dict[int, bool] = {}

    def __call__(self, root: Node) -> bool:
        found = self._known(root)
        return self._search(root) if found is None else found

    def _known(self, node: Node) -> bool | None:
        """The answer for a node without looking below it, or None; those of nodes without parts are not kept."""
        has_none = not node.parts and not any(step.items for step in node.steps)
        if has_none:
            return self.fits(node)
        if id(node) not in self.known and self.fits(node):
            self.known[id(node)] = True
        return self.known.get(id(node))

    def _search(self, root: Node) -> bool:
        order, lowest = {id(root): 0}, [0]
        above: list[tuple[int, Iterator[Node]]] = [(id(root), iter(children(root)))]
        unsettled = [id(root)]
        while above:
            key, rest = above[-1]
            for node in rest:
                if id(node) in order:
                    lowest[-1] = min(lowest[-1], order[id(node)])
                elif (found := self._known(node)) is None:
                    order[id(node)] = len(order)
                    lowest.append(order[id(node)])
                    above.append((id(node), iter(children(node))))
                    unsettled.append(id(node))
                    break
                elif found:
                    self.known.update(dict.fromkeys(unsettled, True))
                    return True
            else:
                above.pop()
                low = lowest.pop()
                if low == order[key]:
                    self._settle(unsettled, key, order)
                elif lowest:
                    lowest[-1] = min(lowest[-1], low)
        return False

    def _settle(self, unsettled: list[int], key: int, order: dict[int, int]) -> None:
        """Nothing fits in the strongly connected nodes that were met since one of them."""
        while True:
            one = unsettled.pop()
            self.known[one] = False
            del order[one]
            if one == key:
                return
