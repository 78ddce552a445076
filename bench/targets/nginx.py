"""The limit: nginx with one worker, keep-alive to the upstream, and nothing buffered."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

CONFIG = """\
daemon off;
worker_processes 1;
{user}
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream mock {{
        server {address};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /openai/ {{
            proxy_pass {scheme}://mock/v1/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer upstream-key";
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


def command(port: int, origin: str, directory: Path) -> tuple[str, ...]:
    """Writes the configuration into ``directory`` and gives the command that serves it."""
    upstream = urlsplit(origin)
    # started as root, workers would become "nobody", who may not write into our directory
    user = "user root;" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(
        CONFIG.format(user=user, directory=directory, address=upstream.netloc, scheme=upstream.scheme, port=port)
    )
    return ("nginx", "-p", str(directory), "-e", "stderr", "-c", str(config))
