#!/bin/sh
# Print nginx.conf: the template with every ${VARIABLE} replaced. README.md describes the variables.
set -euaf
here=$(cd "$(dirname "$0")" && pwd)

# Settings of the operator, from .env. Programs read this block to list them.
: "${CORS_ORIGINS:=}"
: "${TRUSTED_PROXIES:=}"
: "${TLS_CERT:=}"
: "${TLS_KEY:=}"
: "${RATE_LIMITS:=on}"
: "${RATE_LIMIT_ADMIN:=500}"
: "${RATE_LIMIT_WRITER:=500}"
: "${RATE_LIMIT_READER:=500}"
: "${RATE_BURST:=1000}"
: "${UPLOADS_PER_USER:=4}"
: "${DOWNLOADS_PER_USER:=8}"
: "${CLIENT_TIMEOUT:=15s}"
: "${SHUTDOWN_TIMEOUT:=8s}"

# Settings of the deployment mode; the defaults are those of the container. SERVICES is required: comma-separated names.
: "${SERVICES?}"
GATEWAY_DIR=${GATEWAY_DIR:-$here}
RUN_DIR=${RUN_DIR:-/run/gateway}
TEMP_DIR=${TEMP_DIR:-$RUN_DIR}
USERS_DIR=${USERS_DIR:-/users}
SWAGGER_DIR=${SWAGGER_DIR:-$here/swagger}
HTMX_DIR=${HTMX_DIR:-$here/htmx}
UPLOT_DIR=${UPLOT_DIR:-$here/uplot}
SOCKETS_DIR=${SOCKETS_DIR:-}
LISTEN=${LISTEN:-8080}
METRICS_LISTEN=${METRICS_LISTEN:-}
ACCESS_LOG=${ACCESS_LOG:-/dev/stdout}
ERROR_LEVEL=${ERROR_LEVEL:-warn}
# nginx does not accept a link-local address, which has a zone.
RESOLVER=${RESOLVER:-$(awk '/^nameserver/ && $2 !~ /%/ { print ($2 ~ /:/ ? "[" $2 "]" : $2); exit }' /etc/resolv.conf 2> /dev/null || true)}
RESOLVER=${RESOLVER:-127.0.0.11}
UPSTREAM_DOMAIN=${UPSTREAM_DOMAIN:-}
USER_LINE=${USER_LINE:-}
WORKERS=${WORKERS:-2}

fail() { echo "$1" >&2; exit 1; }
origin='https?://[A-Za-z0-9.-]+(:[0-9]+)?'
case $RATE_LIMITS in on | off) ;; *) fail 'RATE_LIMITS must be on or off' ;; esac
echo "$CORS_ORIGINS" | grep -Eqx "($origin(,$origin)*)?" \
    || fail 'CORS_ORIGINS must be comma-separated origins such as https://app.example.com'
echo "$TRUSTED_PROXIES" | grep -Eqx '[0-9A-Fa-f.:/,]*' \
    || fail 'TRUSTED_PROXIES must be comma-separated addresses or networks such as 10.0.0.0/8'
[ -n "$TLS_CERT" ] || [ -z "$TLS_KEY" ] || fail 'TLS_CERT must name the certificate of TLS_KEY'
[ -n "$TLS_KEY" ] || [ -z "$TLS_CERT" ] || fail 'TLS_KEY must name the key of TLS_CERT'

SERVICES_PATTERN=$(echo "$SERVICES" | tr , '|')
# Connections to sockets are kept open; without sockets, an upstream is a DNS name with a port.
UPSTREAM_LINES='' UPSTREAM_SUFFIX=${UPSTREAM_DOMAIN:+.$UPSTREAM_DOMAIN}:8000
if [ -n "$SOCKETS_DIR" ]; then
    UPSTREAM_SUFFIX=''
    for name in $(echo "$SERVICES" | sed 's/[a-z]*/&-web/g; s/,/ /g') console; do
        for suffix in '' -standby; do
            UPSTREAM_LINES="$UPSTREAM_LINES
    upstream $name$suffix { server \"unix:$SOCKETS_DIR/${name%-web}$suffix.sock\"; keepalive 32; keepalive_timeout 2s; }"
        done
    done
fi
# A second server, without passwords, for Prometheus, which does not scrape sockets.
METRICS_LINES=''
if [ -n "$METRICS_LISTEN" ]; then
    [ -n "$SOCKETS_DIR" ] || fail 'SOCKETS_DIR must name the folder of the sockets that METRICS_LISTEN serves'
    for service in $(echo "$SERVICES" | tr , ' '); do
        UPSTREAM_LINES="$UPSTREAM_LINES
    upstream $service-worker { server \"unix:$SOCKETS_DIR/$service-worker.sock\"; }"
    done
    METRICS_LINES="server {
        listen $METRICS_LISTEN;
        access_log off;
        # Prometheus reports a program that does not run; otherwise each scrape of it would write a line of text.
        error_log stderr emerg;
        location ~ ^/(?<process>($SERVICES_PATTERN)-(web|worker))(?<endpoint>/metrics|/livez)\$ {
            limit_except GET { deny all; }
            rewrite ^ \$endpoint break;
            proxy_pass http://\$process;
        }
        location / { return 404; }
    }"
fi
TRUSTED_PROXY_LINES=''
if [ -n "$TRUSTED_PROXIES" ]; then
    for network in $(echo "$TRUSTED_PROXIES" | tr , ' '); do
        TRUSTED_PROXY_LINES="$TRUSTED_PROXY_LINES set_real_ip_from $network;"
    done
    TRUSTED_PROXY_LINES="$TRUSTED_PROXY_LINES real_ip_header X-Forwarded-For; real_ip_recursive on;"
fi
TLS_LINES=''
if [ -n "$TLS_CERT" ]; then
    LISTEN="$LISTEN ssl"
    TLS_LINES="http2 on;
        ssl_certificate \"$TLS_CERT\";
        ssl_certificate_key \"$TLS_KEY\";
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
        ssl_session_cache shared:tls:2m;
        ssl_session_tickets off;"
fi
# Prevents a reload from resetting a connection on which a request is being sent. Available since nginx 1.27.4.
KEEPALIVE_LINE=''
version=$("${NGINX:-nginx}" -v 2>&1 | sed 's,.*nginx/\([0-9.]*\).*,\1,')
if [ "$(printf '%s\n' 1.27.4 "$version" | sort -V | head -n 1)" = 1.27.4 ]; then
    KEEPALIVE_LINE='keepalive_min_timeout 5s;'
fi

exec awk '
    {
        while (match($0, /\$\{[A-Z_]+\}/)) {
            name = substr($0, RSTART + 2, RLENGTH - 3)
            if (!(name in ENVIRON)) { print "nginx.conf.template: " name " must have a value" > "/dev/stderr"; exit 1 }
            printf "%s%s", substr($0, 1, RSTART - 1), ENVIRON[name]
            $0 = substr($0, RSTART + RLENGTH)
        }
        print
    }' "$here/nginx.conf.template"
