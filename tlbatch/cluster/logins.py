"""Who is asking: tokens, token files, passwords and exec plugins of a kubeconfig's user, renewed as they run out."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tlbatch.cluster.errors import ClusterError
from tlbatch.cluster.kubeconfig import MEND, Entry, flag_of, kept_file

PLUGIN_TIMEOUT_S = 300.0
"""A plugin may open a browser for somebody to log in."""
TOKEN_FILE_S = 60.0
EARLY_S = 10.0


@dataclass(frozen=True)
class Login:
    """``header``: of Authorization. ``until`` (Unix time): when it must be asked for again. Files are PEM."""

    header: str | None = None
    until: float = float("inf")
    cert_file: str | None = None
    key_file: str | None = None


def log_in(user: Entry | None, cluster: Entry) -> Login:
    """What the user's entry says, in kubectl's order: token file, token, password, plugin. Raises ClusterError."""
    if user is None:
        return Login()
    certificate, key = user.file_or_data("client-certificate"), user.file_or_data("client-key")
    if user.text("tokenFile"):
        path = user.path("tokenFile")
        kept = path.read_text(encoding="utf-8", errors="replace").strip() if path else ""
        return Login(_header(f"Bearer {kept}", user), time.time() + TOKEN_FILE_S, certificate, key)
    token = user.text("token")
    if token:
        return Login(_header(f"Bearer {token.strip()}", user), cert_file=certificate, key_file=key)
    if user.text("username"):
        pair = f"{user.text('username')}:{user.text('password') or ''}".encode()
        return Login(f"Basic {base64.b64encode(pair).decode()}", cert_file=certificate, key_file=key)
    if user.fields.get("exec") is not None:
        return _from_plugin(user, cluster)
    if user.fields.get("auth-provider") is not None:
        return _from_provider(user)
    return Login(cert_file=certificate, key_file=key)


def _header(text: str, user: Entry) -> str:
    if not text.isascii() or any(ord(letter) < 32 for letter in text):
        raise ClusterError(f"{user.place}: its token holds characters that no token has (a line end?); {MEND}")
    return text


def _from_provider(user: Entry) -> Login:
    """What a legacy auth-provider keeps in the file; kubectl itself asks for plugins instead by now."""
    kept = user.fields["auth-provider"].get("config") if isinstance(user.fields["auth-provider"], dict) else None
    token = (kept.get("id-token") or kept.get("access-token")) if isinstance(kept, dict) else None
    if not isinstance(token, str):
        raise ClusterError(
            f"{user.place}: its auth-provider keeps no token: `kubectl get pods` may renew it, or use an exec plugin"
        )
    return Login(_header(f"Bearer {token}", user))


def _from_plugin(user: Entry, cluster: Entry) -> Login:
    plugin = user.fields["exec"]
    if not isinstance(plugin, dict) or not isinstance(plugin.get("command"), str) or not plugin["command"]:
        raise ClusterError(f"{user.place}: exec: expected `{{apiVersion: …, command: …}}`; {MEND}")
    status = _status(_run(user, cluster, plugin), plugin, user)
    until = _time(status.get("expirationTimestamp"))
    token, certificate, key = (status.get(name) for name in ("token", "clientCertificateData", "clientKeyData"))
    if isinstance(certificate, str) and isinstance(key, str):
        header = _header(f"Bearer {token}", user) if isinstance(token, str) else None
        return Login(header, until, kept_file(certificate.encode()), kept_file(key.encode()))
    if isinstance(token, str) and token:
        return Login(_header(f"Bearer {token}", user), until)
    raise ClusterError(f"{user.place}: its plugin {plugin['command']} gave neither a token nor a certificate; {MEND}")


def _run(user: Entry, cluster: Entry, plugin: dict[str, Any]) -> str:
    """What the plugin prints. Its own words are in the sentence where it fails."""
    command = str(plugin["command"])
    if "/" in command:  # relative to the kubeconfig, as kubectl has it; bare names are looked for on the PATH
        command = str(user.file.parent / command)
    arguments, variables = plugin.get("args") or [], plugin.get("env") or []
    try:
        environment = {**os.environ, **{str(each["name"]): str(each.get("value", "")) for each in variables}}
        whole = [command, *map(str, arguments)]
    except (TypeError, KeyError, AttributeError) as error:
        raise ClusterError(
            f"{user.place}: exec: args is a list of texts, env one of `{{name: …, value: …}}`; {MEND}"
        ) from error
    spec: dict[str, Any] = {"interactive": bool(sys.stdin and sys.stdin.isatty())}
    if flag_of(plugin.get("provideClusterInfo")):
        spec["cluster"] = {key: value for key, value in cluster.fields.items() if key != "extensions"}
    version = plugin.get("apiVersion", "client.authentication.k8s.io/v1")
    asked = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    environment["KUBERNETES_EXEC_INFO"] = json.dumps(asked, default=str)
    try:
        done = subprocess.run(whole, capture_output=True, env=environment, timeout=PLUGIN_TIMEOUT_S, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        hint = " ".join(str(plugin.get("installHint") or "").split())
        reason = getattr(error, "strerror", None) or str(error)
        said = f"{reason}; {hint}" if hint else reason
        raise ClusterError(f"{user.place}: its login plugin {command} cannot be run ({said}): install it; {MEND}") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())[-600:] or "no words"
        raise ClusterError(
            f"{user.place}: its login plugin failed, {' '.join(whole)} ended with {done.returncode} ({said}); log in as it says"
        )
    return done.stdout.decode(errors="replace")


def _status(printed: str, plugin: dict[str, Any], user: Entry) -> dict[str, Any]:
    try:
        document = json.loads(printed)
        if document.get("kind") != "ExecCredential":
            raise ValueError(f"a {document.get('kind')}")
        status = document["status"]
        if not isinstance(status, dict):
            raise ValueError("no status")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        start = " ".join(printed.split())[:100] or "nothing"
        raise ClusterError(
            f"{user.place}: its login plugin {plugin['command']} printed what is no ExecCredential ({start}): run it by hand"
        ) from error
    return status


def _time(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() - EARLY_S if text else float("inf")
    except ValueError:
        return time.time() + TOKEN_FILE_S
