package render

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"govla/internal/testenv"
)

// Where a processor can multiply and add in one operation, the compiler must not do so: it
// would round differently. arm64 is one that always can.
func TestNoProductIsFusedWithASum(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for another processor")
	}
	build := exec.CommandContext(t.Context(), testenv.Tool(t, "go"), "build", "-gcflags=-S", ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	assembly, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, assembly)
	}
	if !regexp.MustCompile(`\tFMULD\t`).Match(assembly) {
		t.Fatal("no product at all is in the assembly")
	}
	for _, line := range regexp.MustCompile(`(?m)^.*\tF(N?M(ADD|SUB))[DS]\t.*$`).FindAll(assembly, -1) {
		t.Errorf("%s", line)
	}
}
