"""An OAuth 2.0 server for the client credentials grant, with tokens that are not signed: for brokers that take such."""

import base64
import http.server
import json
import threading
import time
import urllib.parse

CLIENT_ID, CLIENT_SECRET = "weir-client", "a secret of the client"


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class TokenServer:
    """Used as a context manager. `requests`: (status, scope) of each that came."""

    def __init__(self, subject, lifetime_s):
        outer = self
        self.subject, self.lifetime_s = subject, lifetime_s
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.answer(self, urllib.parse.parse_qs(body))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"

    def answer(self, handler, form):
        given = handler.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, secret = base64.b64decode(given).decode().partition(":")
        is_known = (urllib.parse.unquote(user), urllib.parse.unquote(secret)) == (CLIENT_ID, CLIENT_SECRET)
        is_known = is_known and form.get("grant_type") == ["client_credentials"]
        status, answer = (200, self.token()) if is_known else (401, {"error": "invalid_client"})
        self.requests.append((status, form.get("scope", [""])[0]))
        text = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def token(self):
        now = int(time.time())
        claims = {"sub": self.subject, "iat": now, "exp": now + self.lifetime_s, "scope": "kafka"}
        token = f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(claims)}."
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime_s}

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
