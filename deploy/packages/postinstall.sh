#!/bin/sh
# Run by the package after its files are in place. A gateway that runs goes on with the old program, and its
# sessions too, until somebody starts it again.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers sallyport.conf
elif ! getent passwd sallyport >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/sallyport --shell /usr/sbin/nologin sallyport
fi
install -d -m 0750 -o root -g sallyport /etc/sallyport
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
