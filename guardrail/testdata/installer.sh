#!/bin/sh
# What an editor's remote server is installed by: written after the scripts that
# Visual Studio Code, rustup and Docker give to a shell by its input.
set -eu
DATA_DIR="${XDG_DATA_HOME:-$HOME/.local/share}/editor"
VERSION=1.2.3
COMMIT=0123456789abcdef
unset LD_PRELOAD
umask 077
tmp=$(mktemp -d 2>/dev/null || mktemp -d -t editor)
trap 'rm -rf "$tmp"' EXIT
trap cleanup INT TERM
cleanup() {
rm -f "$f"
rm -rf "$tmp"
rm -rf "$DATA_DIR"
rm -rf "$DATA_DIR/old"
rm -rf *
}
say() { printf 'installer: %s\n' "$1"; }
need_cmd() {
if ! command -v "$1" > /dev/null 2>&1; then
err "need '$1' (command not found)"
fi
}
case "$(uname -m)" in
x86_64) ARCH=x64 ;;
aarch64 | arm64) ARCH=arm64 ;;
*) say "unsupported architecture"; exit 1 ;;
esac
if [ -x "$DATA_DIR/bin/$COMMIT/server" ]; then
"$DATA_DIR/bin/$COMMIT/server" --version
exec "$DATA_DIR/bin/$COMMIT/server" --start
fi
curl -fsSL "https://example.com/$VERSION/$ARCH.tar.gz" -o "$tmp/server.tgz" || wget -qO "$tmp/server.tgz" "https://example.com/$VERSION/$ARCH.tar.gz"
echo "$SUM  $tmp/server.tgz" | sha256sum -c -
mkdir -p "$DATA_DIR/bin/$COMMIT"
tar -xzf "$tmp/server.tgz" -C "$DATA_DIR/bin/$COMMIT" --strip-components=1
chmod +x "$DATA_DIR/bin/$COMMIT/server"
eval "$extra"
$cmd --help
sh -c "$install_hook"
ls -1t "$DATA_DIR/bin" | tail -n +4 | xargs rm -rf
for old in "$DATA_DIR"/bin/*; do [ "$old" = "$DATA_DIR/bin/$COMMIT" ] || rm -rf "$old"; done
export PATH="$DATA_DIR/bin/$COMMIT:$PATH"
python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
nohup "$DATA_DIR/bin/$COMMIT/server" --port 0 > "$DATA_DIR/log" 2>&1 < /dev/null &
pid=$!
while ! grep -q listening "$DATA_DIR/log"; do sleep 1; done
kill -0 "$pid"
echo "listening on $(sed -n 's/.*port \([0-9]*\)/\1/p' "$DATA_DIR/log")"
rm -f "$tmp"/*.tgz
