#!/bin/sh
# image.sh BINARY FOLDER: what the image holds. The binary without its debug information, the libraries that `ldd` names, the authorities, and
# a user, a group and a folder for temporary files.
set -eu
binary=$1 image=$2
mkdir -p "$image/usr/bin" "$image/etc/ssl/certs" "$image/etc/walferry" "$image/tmp"
strip --output-file="$image/usr/bin/walferry" "$binary"
# Lines of ldd: `name => path (address)` and `path (address)`.
ldd "$binary" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | while read -r library; do
    mkdir -p "$image$(dirname "$library")"
    cp --dereference "$library" "$image$library"
done
cp /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
echo 'walferry:x:65532:65532::/:/sbin/nologin' > "$image/etc/passwd"
echo 'walferry:x:65532:' > "$image/etc/group"
echo 'hosts: files dns' > "$image/etc/nsswitch.conf"
chmod 1777 "$image/tmp"
