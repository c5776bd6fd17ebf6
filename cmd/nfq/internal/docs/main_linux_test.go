// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// refused is why netlab.Enter failed.
var refused error

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "nft" {
		os.Exit(standInNFT(os.Args[1:]))
	}
	if err := download(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	refused = netlab.Enter()
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // commands mostly wait
		panic(err)
	}
	os.Exit(m.Run())
}

// download downloads what the library alone requires. The workspace has newer versions of some
// modules, and sandboxes have no network.
func download() error {
	cmd := exec.Command("go", "mod", "download")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod download: %w\n%s", err, out)
	}
	return nil
}

// lack skips the test, or fails it where NFQUEUE_REQUIRE_KERNEL=1 forbids that. labtest has the same,
// but packages that import it are run where there is no Go.
func lack(t *testing.T, why ...any) {
	t.Helper()
	if nothingMayLack() {
		t.Fatal(fmt.Sprint(why...), " (NFQUEUE_REQUIRE_KERNEL=1 forbids to skip)")
	}
	t.Skip(why...)
}

func nothingMayLack() bool { return os.Getenv("NFQUEUE_REQUIRE_KERNEL") == "1" }
