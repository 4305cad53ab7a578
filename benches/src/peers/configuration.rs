//! The peers' configuration files.

use std::net::SocketAddr;

/// The part of nginx's configuration that all its tasks share. Paths are relative to its prefix, the folder.
pub(super) fn nginx_frame(single: bool, http: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let master = if single { "off" } else { "on" };
    format!(
        "{user}
daemon off;
master_process {master};
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections 19900; use epoll; multi_accept on; }}
http {{
    access_log off;
    default_type text/plain;
    tcp_nodelay on;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    {http}
}}
"
    )
}

pub(super) fn nginx_static(listen: &str, site: &str, how: &str) -> String {
    format!(
        "{how}
    open_file_cache max=1000 inactive=1h;
    open_file_cache_valid 60s;
    open_file_cache_min_uses 1;
    open_file_cache_errors on;
    server {{ listen {listen} backlog=4096; root {site}; }}"
    )
}

/// `most`: so many connections to the origin are kept at most. `large`: with buffers for large messages.
pub(super) fn nginx_proxy(address: SocketAddr, servers: &[SocketAddr], most: Option<usize>, large: bool) -> String {
    let keep = most.unwrap_or(128.max(2 * servers.len()));
    let buffers = match large {
        // Neither body ever goes to a file, and is read in as few pieces as there can be.
        true => {
            "client_body_buffer_size 128k; proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;"
        }
        false => "",
    };
    let servers: String = servers.iter().map(|server| format!("server {server};\n")).collect();
    format!(
        "upstream origin {{
        {servers}
        keepalive {keep}; keepalive_requests 1000000000; keepalive_timeout 3600s;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            {buffers}
        }}
    }}"
    )
}

/// nginx with so many workers in front of many servers, with a listening socket for each worker.
pub fn nginx_of_many(address: SocketAddr, workers: usize, servers: &[SocketAddr], idle: &str) -> String {
    let servers: String = servers.iter().map(|server| format!("server {server};\n")).collect();
    let http = format!(
        "upstream origin {{
        random two least_conn;
        {servers}
        keepalive 1000; keepalive_requests 1000000000; keepalive_timeout {idle};
    }}
    server {{
        listen {address} backlog=4096 reuseport;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}"
    );
    nginx_frame(false, &http).replace("worker_processes 1;", &format!("worker_processes {workers};"))
}

/// `most` and `large` as with nginx; the connections are shared out over the servers.
pub(super) fn haproxy(address: SocketAddr, servers: &[SocketAddr], most: Option<usize>, large: bool) -> String {
    let (limit, clients) = match most {
        Some(most) => {
            let each = most / servers.len();
            (format!("maxconn {each} pool-max-conn {each}"), 9_400)
        }
        None => ("pool-max-conn 128".to_owned(), 4_000),
    };
    let (buffers, splice) = if large { ("tune.bufsize 131072", "option splice-auto") } else { ("", "") };
    let server = |(i, server): (usize, &SocketAddr)| format!("    server origin{i} {server} {limit}\n");
    let servers: String = servers.iter().enumerate().map(server).collect();
    format!(
        "global
    nbthread 1
    maxconn {clients}
    {buffers}
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    timeout queue 1h
    http-reuse always
    option forwardfor
    {splice}
frontend front
    bind {address} backlog 4096
    http-request set-header X-Forwarded-Proto http
    default_backend back
backend back
    balance roundrobin
{servers}"
    )
}

/// lighttpd closes a connection after so many requests at the most; its loads are short of that.
pub(super) fn lighttpd(address: SocketAddr, site: &str) -> String {
    format!(
        "server.document-root = \"{site}\"
server.bind = \"{}\"
server.port = {}
server.listen-backlog = 4096
server.max-fds = 20000
server.max-connections = 16384
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 3600
server.max-write-idle = 3600
server.event-handler = \"linux-sysepoll\"
server.network-backend = \"sendfile\"
server.stat-cache-engine = \"simple\"
mimetype.assign = ( \".txt\" => \"text/plain\", \".json\" => \"application/json\" )
",
        address.ip(),
        address.port()
    )
}

pub(super) fn sozu(address: SocketAddr, origin: &str, socket: &str) -> String {
    format!(
        "command_socket = \"{socket}\"
worker_count = 1
worker_automatic_restart = false
log_level = \"error\"
log_target = \"stdout\"
max_connections = 9500
[[listeners]]
protocol = \"http\"
address = \"{address}\"
[clusters.origin]
protocol = \"http\"
frontends = [{{ address = \"{address}\", hostname = \"{}\" }}]
backends = [{{ address = \"{origin}\" }}]
",
        address.ip()
    )
}

pub(super) fn h2o(address: SocketAddr, site: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "user: root\n" } else { "" };
    format!(
        "{user}num-threads: 1
num-name-resolution-threads: 1
max-connections: 16384
http1-request-timeout: 3600
tcp-fastopen: 0
listen:
  host: {}
  port: {}
hosts:
  default:
    paths:
      \"/\":
        file.dir: {site}
",
        address.ip(),
        address.port()
    )
}

pub(super) fn caddy(address: SocketAddr, site: &str) -> String {
    format!(
        "{{
	admin off
	auto_https off
	servers {{
		protocols h1
	}}
	log {{
		level ERROR
	}}
}}
http://{address} {{
	root * {site}
	file_server
}}
"
    )
}
