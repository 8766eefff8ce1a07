#!/bin/sh
# Run by the package before its files go: "remove" is Debian's word for it, and 0 is Red Hat's. The
# configuration, the state and the user stay, since records belong to them.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now sallyport.service sallyport-postgres.socket ||
			echo "sallyport could not be stopped; see: systemctl status sallyport" >&2
	fi
	;;
esac
