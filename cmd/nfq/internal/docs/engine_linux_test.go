// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// dockerScript runs podman in place of docker, in the network namespace of the sandbox, which has no
// registry. The base image of Go consists of this system's programs, and an apt-get that does
// nothing.
const dockerScript = `#!/bin/sh
set -e
engine="podman --root $HOME/containers --runroot $HOME/containers.run --storage-driver vfs --events-backend file --cgroup-manager cgroupfs"
# The usual crun refuses mixed versions of control groups.
! type runc >/dev/null 2>&1 || engine="$engine --runtime runc"
command=$1
shift
case $command in
build)
	mkdir -p "$HOME/apt"
	printf '#!/bin/sh\n' >"$HOME/apt/apt-get"
	chmod +x "$HOME/apt/apt-get"
	printf 'FROM scratch\nWORKDIR /tmp\nENV PATH=/apt:%s/bin:/usr/sbin:/usr/bin\n' "$(go env GOROOT)" | $engine build -q -t golang:1.26 -f - "$HOME/apt" >/dev/null
	for dir in /usr /bin /lib /lib64 "$(go env GOROOT)" "$GOMODCACHE" "$GOCACHE"; do
		[ ! -e "$dir" ] || mounts="$mounts -v $dir:$dir"
	done
	for variable in GOMODCACHE GOCACHE GOTOOLCHAIN GOPROXY GOSUMDB GOFLAGS; do
		mounts="$mounts --env $variable"
	done
	exec $engine build --isolation chroot --security-opt label=disable --network host -v "$HOME/apt:/apt" $mounts "$@"
	;;
run)
	# podman forwards an interrupt to the container, but not in its first moments.
	trap : INT
	status=0
	# The engine's default limits may exceed those of its user.
	$engine run --network host --security-opt label=disable --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@" || status=$?
	$engine rm --all --force --time 5 >/dev/null
	exit $status
	;;
esac
exit 1
`

// standInDocker puts podman in the place of docker.
func standInDocker(t *testing.T, bin string) {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil {
		return
	}
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(dockerScript), 0o755); err != nil {
		t.Fatal(err)
	}
}
