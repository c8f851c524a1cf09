"""The accessibility tree that Chromium hands to screen readers, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: What has a box and no meaning.
_NOTHING = {
    "generic",
    "none",
    "InlineTextBox",
    "LineBreak",
    "ListMarker",
    "LabelText",
    "RootWebArea",
    "Iframe",
}
#: Called by what stands in them: their texts would be told twice.
_CALLED_BY_CONTENT = {
    *("heading", "link", "button", "DisclosureTriangle", "columnheader", "rowheader", "cell", "gridcell"),
    *("DescriptionListTerm", "term", "checkbox", "radio", "textbox", "combobox", "option"),
}
#: States that are told where they are set.
_STATES = ("checked", "expanded", "required", "invalid", "disabled", "modal", "level", "busy")
_NOT_SET = (None, False, "false", "off")


class Reader:
    """What is read out of a page."""

    def __init__(self, page: Any) -> None:
        self._devtools = page.context.new_cdp_session(page)

    def focused(self) -> str:
        """The line of what has the focus; empty where nothing has it."""
        found = self._devtools.send("Runtime.evaluate", {"expression": "document.activeElement"})
        asked = {"objectId": found["result"]["objectId"], "fetchRelatives": False}
        node = self._devtools.send("Accessibility.getPartialAXTree", asked)["nodes"][0]
        return "" if node["ignored"] or _value(node, "role") in _NOTHING else line(node)

    def tree(self, selector: str = "body") -> str:
        """The tree beneath an element, a line for each part."""
        nodes = self._devtools.send("Accessibility.getFullAXTree")["nodes"]
        document = self._devtools.send("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
        found = self._devtools.send("DOM.querySelector", {"nodeId": document, "selector": selector})
        root = self._devtools.send("DOM.describeNode", found)["node"]["backendNodeId"]
        by_id = {node["nodeId"]: node for node in nodes}
        top = next(node for node in nodes if node.get("backendDOMNodeId") == root)
        return "\n".join(_lines(top, by_id, "")) + "\n"


def line(node: dict[str, Any]) -> str:
    """The role and the name of a part; what describes it, what was typed, and its states."""
    role, name = _value(node, "role"), _value(node, "name")
    words = [role, f'"{name}"'] if name else [role]
    if value := _value(node, "value"):
        words.append(f"= {value}")
    states = {each["name"]: each["value"].get("value") for each in node.get("properties", ())}
    if role == "listitem":
        states.pop("level", None)
    told = [_state(name, states[name]) for name in _STATES if name in states]
    if told := [each for each in told if each]:
        words.append(f"[{', '.join(told)}]")
    if description := _value(node, "description"):
        words.append(f"({description})")
    return " ".join(words)


def _state(name: str, value: Any) -> str:
    if name == "expanded":
        return "expanded" if value else "collapsed"
    if value in _NOT_SET:
        return ""
    return name if value is True or value == "true" else f"{name} {value}"


def _lines(node: dict[str, Any], by_id: dict[str, Any], indent: str) -> Iterator[str]:
    role = _value(node, "role")
    children = [by_id[each] for each in node.get("childIds", ()) if each in by_id]
    if role in _CALLED_BY_CONTENT and _value(node, "name"):
        children = [each for each in children if not _is_mere_text(each, by_id)]
    if not node["ignored"] and role not in _NOTHING:
        if role == "StaticText":
            if text := _value(node, "name"):
                yield f"{indent}{text}"
            return
        yield f"{indent}{line(node)}"
        indent += "  "
    for each in children:
        yield from _lines(each, by_id, indent)


def _is_mere_text(node: dict[str, Any], by_id: dict[str, Any]) -> bool:
    """Whether there is nothing in it but text."""
    children = [by_id[each] for each in node.get("childIds", ()) if each in by_id]
    role = _value(node, "role")
    is_text = node["ignored"] or role in _NOTHING or role in {"StaticText", "strong", "time", "emphasis"}
    return is_text and all(_is_mere_text(each, by_id) for each in children)


def _value(node: dict[str, Any], name: str) -> str:
    return " ".join(str(node.get(name, {}).get("value", "")).split())
