"""What /health says, in words that a person could act on."""

import re

from . import weir


def components(server):
    answer = server.get("/health")
    assert answer.status in (200, 503), answer
    return answer.json()["components"]


def troubled(server, pattern):
    """The reason of the component that is not well and whose name or reason matches, or None."""
    for name, component in components(server).items():
        text = f"{name}: {component.get('reason', '')}"
        if component["status"] != "ok" and re.search(pattern, text, re.IGNORECASE):
            assert component["reason"], component
            return text
    return None


def wait_troubled(server, pattern, timeout_s):
    def found():
        assert server.running(), f"weir ended:\n{server.stderr()[-2000:]}"
        return troubled(server, pattern)

    text = weir.eventually(found, timeout_s, f"/{pattern}/ in /health", interval_s=0.1)
    print(f"/health says: {text}")
    return text


def all_well(server):
    return all(component["status"] == "ok" for component in components(server).values())


def wait_well(server, timeout_s):
    try:
        return weir.eventually(lambda: all_well(server), timeout_s, "all components well", interval_s=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{components(server)}") from None
