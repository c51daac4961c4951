"""The way to the upstream that the environment prescribes: its proxy, and whom to trust; checked before a run."""

import os
import ssl
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from syncer.errors import ConfigurationError


def proxy_for(api_url: str) -> str | None:
    """The proxy for this address with its scheme, as curl reads the variables; None without one.

    Plain http is loopback and never proxied. Raises `ConfigurationError`, which does not show the proxy's password.
    """
    address = urlsplit(api_url)
    if address.scheme != "https" or proxy_bypass(address.hostname or ""):
        return None
    proxies = getproxies()
    variable = "HTTPS_PROXY" if proxies.get("https") else "ALL_PROXY"
    proxy = (proxies.get("https") or proxies.get("all") or "").strip()
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    host = None
    with suppress(ValueError):
        parts = urlsplit(proxy)
        host = parts.hostname if parts.port != 0 and proxy.count("@") <= 1 else None
    if host is None or any(letter.isspace() or not letter.isprintable() for letter in proxy):
        raise ConfigurationError(
            f"{variable}: it is no address of a proxy such as http://proxy.example:3128; "
            "correct it (an @ in a password is written %40)"
        )
    if parts.scheme.lower() not in {"http", "https"}:
        raise ConfigurationError(
            f"{variable}: syncer goes through proxies of http:// and https:// alone, not of {parts.scheme}://; "
            "name such a one for syncer, or unset it"
        )
    return proxy


def way_of(api_url: str) -> str:
    """How errors name the proxy that an address is reached by, by its host alone; empty without one."""
    with suppress(ConfigurationError):
        proxy = proxy_for(api_url)
        if proxy is not None:
            host, port = host_and_port(proxy)
            return f" by way of the environment's proxy {host}:{port}"
    return ""


def host_and_port(address: str) -> tuple[str, int]:
    """Of a URL, with the port of its scheme where none is named."""
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or (443 if parts.scheme.lower() == "https" else 80)


def check_certificates(api_url: str) -> None:
    """Raise `ConfigurationError` if the environment names certificates that cannot be read."""
    if urlsplit(api_url).scheme != "https":
        return
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if not path:
            continue
        problem = "there is no such file or folder" if not os.path.exists(path) else ""  # noqa: PTH110 - as OpenSSL asks
        if not problem:
            try:
                if variable == "SSL_CERT_FILE":
                    ssl.create_default_context(cafile=path)
            except OSError as error:
                problem = error.strerror or "it holds no certificate"
        if problem:
            raise ConfigurationError(f"{variable}: {problem}; correct it, or unset it")
