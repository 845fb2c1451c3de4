#!/usr/bin/env python3
"""Events of a shop on stdout, one JSON object a line: about 200 a second until it is stopped. Now and then one is broken."""

import json
import random
import time

COUNTRIES = ["FR", "DE", "ES", "IT", "NL"]
PAGES = ["/", "/search", "/item", "/basket", "/help"]

try:
    while True:
        event = {"ts": int(time.time() * 1000), "country": random.choice(COUNTRIES)}
        if random.random() < 0.2:
            event |= {"kind": "order", "amount": round(random.lognormvariate(3.5, 0.8), 2)}
        else:
            event |= {"kind": "view", "page": random.choice(PAGES), "load_ms": random.randint(20, 400)}
        line = json.dumps(event)
        print(line[:20] if random.random() < 0.002 else line, flush=True)
        time.sleep(random.expovariate(200))
except (KeyboardInterrupt, BrokenPipeError):
    pass
