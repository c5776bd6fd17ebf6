// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// realNFT names the program in the environment of its stand-in.
const realNFT = "DOCS_NFT"

// queueStatement matches a queue statement of nft, always the last in its rule.
var queueStatement = regexp.MustCompile(`\bqueue (num|to|flags)\b[^;}\n]*`)

// standIn replaces nft on a kernel without the queue expression, which would refuse the rules of the
// documents. The replacement is this test binary, see standInNFT.
func standIn(t *testing.T, bin string) {
	t.Helper()
	path, err := exec.LookPath("nft")
	if err != nil {
		t.Fatal(err)
	}
	host, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	err = host.Do(func() error {
		cmd := exec.Command(path, "-f", "-")
		cmd.Stdin = strings.NewReader("table inet t { chain c { queue to 0; }; }")
		return cmd.Run()
	})
	if err == nil {
		t.Log("the kernel has the queue expression: all rules are installed")
		return
	}
	t.Log("the kernel has no queue expression: nft compiles the rules that have one, and the rest of each is installed")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "nft")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(realNFT, path)
}

// standInNFT runs nft. It lets nft compile rules that queue, and checks that the kernel objects to
// nothing but the queue expression. Then it installs them with accept in its place.
func standInNFT(args []string) (status int) {
	nft, text := os.Getenv(realNFT), strings.Join(args, " ")
	if len(args) == 2 && args[0] == "-f" {
		var b []byte
		var err error
		if args[1] == "-" {
			b, err = io.ReadAll(os.Stdin)
		} else {
			b, err = os.ReadFile(args[1])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		text = string(b)
	}
	rules := len(queueStatement.FindAllString(text, -1))
	if rules == 0 && (len(args) == 0 || args[0] != "-f") {
		fmt.Fprintln(os.Stderr, syscall.Exec(nft, append([]string{"nft"}, args...), os.Environ()))
		return 1
	}
	var said bytes.Buffer
	check := exec.Command(nft, "--check", "--debug=netlink", "-f", "-")
	check.Stdin = strings.NewReader(text)
	check.Stdout, check.Stderr = &said, &said
	err := check.Run()
	const missing = "Error: Could not process rule: No such file or directory\n"
	if compiled := strings.Count(said.String(), "[ queue num "); (err != nil) != (rules > 0) ||
		compiled != rules ||
		strings.Count(said.String(), "Error: ") != strings.Count(said.String(), missing) {
		fmt.Fprintf(os.Stderr, "nft compiles %d of %d rules that queue (%v)\n%s", compiled, rules, err,
			&said)
		return 1
	}
	install := exec.Command(nft, "-f", "-")
	install.Stdin = strings.NewReader(queueStatement.ReplaceAllString(text, "accept"))
	install.Stdout, install.Stderr = os.Stdout, os.Stderr
	if err := install.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the rest of the rules:", err)
		return 1
	}
	return 0
}
