"""From a kubeconfig, or the pod this runs in, to a cluster. One translation: whatever is wrong there is a ClusterError."""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from tlbatch.cluster.client import DEADLINE_S, Cluster
from tlbatch.cluster.errors import ClusterError
from tlbatch.cluster.kubeconfig import MEND, Entry, load_kubeconfig
from tlbatch.cluster.logins import Login, log_in
from tlbatch.logins import check_no_login, without_logins

POD_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def open_cluster(namespace: str, context: str | None = None, deadline_s: float = DEADLINE_S) -> Cluster:
    """The cluster of a kubeconfig context (default: the current one), or the one this process runs in.

    Honours what kubectl does: KUBECONFIG with several files, proxy-url, HTTPS_PROXY, HTTP_PROXY and NO_PROXY by the server's
    scheme, tls-server-name, insecure-skip-tls-verify, token files, exec plugins. Raises ClusterError.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        if context is None and _in_cluster():
            config.load_incluster_config(client_configuration=configuration)
            _set_proxy(configuration, None)
        else:
            _configure(configuration, context)
        return Cluster(client.ApiClient(configuration), namespace, deadline_s)
    except ClusterError:
        raise
    except ssl.SSLError as error:
        raise ClusterError(f"the kubeconfig's certificates cannot be used ({_words(error)}); {MEND}") from error
    except (config.ConfigException, OSError, ValueError) as error:
        raise ClusterError(f"no cluster is configured here ({_words(error)}); {MEND}") from error


def _words(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(".")


def _configure(configuration: Any, context: str | None) -> None:
    cluster, user = load_kubeconfig().chosen(context)
    configuration.host = _server(cluster)
    login = log_in(user, cluster)
    configuration.verify_ssl = not cluster.flag("insecure-skip-tls-verify")
    if configuration.host.startswith("https"):
        configuration.ssl_ca_cert = cluster.file_or_data("certificate-authority")
        configuration.cert_file, configuration.key_file = login.cert_file, login.key_file
        if login.cert_file and not login.key_file:
            raise ClusterError(f"{user.place if user else cluster.place}: a client-certificate without its client-key; {MEND}")
        _check_certificates(configuration, cluster, user)
    configuration.tls_server_name = cluster.text("tls-server-name")
    _set_proxy(configuration, cluster)
    if login.header is not None:
        configuration.api_key["BearerToken"] = login.header
        configuration.refresh_api_key_hook = _renewing(login, cluster, user)


def _renewing(login: Login, cluster: Entry, user: Entry | None) -> Any:
    """The client calls it before each request: a login that runs out is asked for again."""
    held = login

    def renew(configuration: Any) -> None:
        nonlocal held
        if time.time() >= held.until:
            held = log_in(user, cluster)
            configuration.api_key["BearerToken"] = held.header

    return renew


def _check_certificates(configuration: Any, cluster: Entry, user: Entry | None) -> None:
    """Say now, with the place, what a request would say without it."""
    context = ssl.create_default_context()
    try:
        if configuration.ssl_ca_cert and configuration.verify_ssl:
            context.load_verify_locations(configuration.ssl_ca_cert)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ClusterError(f"{cluster.place}: certificate-authority holds no certificate ({_words(error)}); {MEND}") from error
    try:
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (ssl.SSLError, OSError, ValueError) as error:
        place = user.place if user else cluster.place
        raise ClusterError(f"{place}: client-certificate and client-key do not fit ({_words(error)}); {MEND}") from error


def _server(cluster: Entry) -> str:
    server = cluster.text("server")
    if server is None:
        raise ClusterError(f"{cluster.place} names no server: `kubectl config view` shows it")
    try:
        parts = urlsplit(server)
        whole = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        whole = False
    if not whole or any(letter.isspace() for letter in server):
        raise ClusterError(f"{cluster.place}: server is {without_logins(repr(server))}, expected https://HOST:PORT; {MEND}")
    check_no_login(server, f"{cluster.place}: server", "write https://HOST:PORT, and the login as a user of the kubeconfig")
    return server.rstrip("/")


def _set_proxy(configuration: Any, cluster: Entry | None) -> None:
    """``proxy-url`` comes first; else the proxy variable of the server's scheme, unless NO_PROXY names the server."""
    parts = urlsplit(str(configuration.host))
    proxy = cluster.text("proxy-url") if cluster is not None else None
    if proxy is None:
        passed = proxy_bypass_environment(parts.netloc) or _is_loopback(parts.hostname or "")
        proxy = None if passed else getproxies_environment().get(parts.scheme)
    elif urlsplit(proxy).scheme not in ("http", "https"):
        place = cluster.place if cluster is not None else "the kubeconfig"
        raise ClusterError(
            f"{place}: proxy-url is {without_logins(repr(proxy))}: http:// and https:// proxies are known here; {MEND}"
        )
    configuration.proxy, configuration.no_proxy = proxy, ""
    if proxy:
        import urllib3

        found = urlsplit(proxy)
        if found.username:
            pair = f"{found.username}:{found.password or ''}"
            configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=pair)


def _is_loopback(host: str) -> bool:
    """Go's client, and so kubectl, asks no proxy of the environment for this machine."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _in_cluster() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG") and POD_TOKEN.exists()
