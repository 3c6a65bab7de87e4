// Package testenv finds what a test needs from outside the repository and says, in one
// way everywhere, when it is not there: such a test is skipped with a message that names
// what is missing, or fails where GOVLA_REQUIRE=1 asks for everything.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Shared returns the path of name inside the folder that lies beside the repository and
// holds recordings, golden data and peers (or inside $GOVLA_SHARED where that is set).
func Shared(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("GOVLA_SHARED")
	if root == "" {
		_, file, _, _ := runtime.Caller(0)
		root = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared")
	}
	path := filepath.Join(root, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		missing(t, "shared/"+name)
	}
	return path
}

// Tool returns the path of the program called name.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "the program "+name)
	}
	return path
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("GOVLA_REQUIRE") == "1" {
		t.Fatalf("%s is missing, and GOVLA_REQUIRE=1 asks for it", what)
	}
	t.Skipf("%s is missing", what)
}
