package govla_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "govla"

// layers says, for each folder at the top of the module, which of these folders the
// packages in it may import.
func layers() map[string][]string {
	return map[string][]string{
		"cmd":       {"cmd", "policy", "robot", "sim", "actions", "tokenizer", "internal"},
		"policy":    {"policy", "actions", "tokenizer", "internal"},
		"robot":     {"robot", "actions", "tokenizer", "internal"},
		"sim":       {"sim", "robot", "actions", "tokenizer", "internal"},
		"actions":   {"actions", "tokenizer", "internal"},
		"tokenizer": {"tokenizer", "actions", "internal"},
		"internal":  {"internal"},
	}
}

// checkImport reports an import that does not point down. pkg is the importing package's
// folder within the module; imported is an import path as it stands in the source.
func checkImport(pkg, imported string) error {
	if imported != module && !strings.HasPrefix(imported, module+"/") {
		return nil // the standard library, or another module
	}
	from, _, _ := strings.Cut(pkg, "/")
	allowed, ok := layers()[from]
	if !ok {
		return fmt.Errorf("%s lies in none of the module's layers", pkg)
	}
	to, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"), "/")
	if !slices.Contains(allowed, to) {
		return fmt.Errorf("%s imports %s, and %s may import only %s", pkg, imported, from, strings.Join(allowed, ", "))
	}
	return nil
}

// checkTree returns the imports in tree that do not point down, of every file that is no
// test, whatever its build tags, and the number of imports of this module that it looked at.
func checkTree(tree fs.FS) (violations []error, looked int, err error) {
	err = fs.WalkDir(tree, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// The go command, too, passes over these folders.
		if name := entry.Name(); entry.IsDir() && file != "." && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return fs.SkipDir
		}
		if entry.IsDir() && file != "." {
			if _, err := fs.Stat(tree, path.Join(file, "go.mod")); err == nil {
				return fs.SkipDir // a module of its own
			}
		}
		if entry.IsDir() || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(tree, file)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: import %s: %w", file, spec.Path.Value, err)
			}
			if err := checkImport(path.Dir(file), imported); err != nil {
				violations = append(violations, fmt.Errorf("%s: %w", file, err))
			}
			if strings.HasPrefix(imported, module+"/") {
				looked++
			}
		}
		return nil
	})
	return violations, looked, err
}

func TestImportsPointDown(t *testing.T) {
	violations, looked, err := checkTree(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range violations {
		t.Error(violation)
	}
	if looked == 0 {
		t.Error("found no import of the module's own packages: is this the module's root?")
	}
}

// TestCheckImport shows that the rule refuses what it is there to refuse, and only that.
func TestCheckImport(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		allowed       bool
	}{
		{"policy", "govla/robot", false},
		{"policy/smolvla", "govla/robot/natsbus", false},
		{"policy/train", "govla/sim/pusht", false},
		{"policy/train", "govla/cmd/vla", false},
		{"robot", "govla/policy", false},
		{"robot/natsbus", "govla/policy/head", false},
		{"robot", "govla/sim", false},
		{"robot/fake", "govla/sim/pusht", false},
		{"sim/eval", "govla/policy", false},
		{"sim", "govla/cmd/vla", false},
		{"actions", "govla/policy", false},
		{"actions/recording", "govla/robot", false},
		{"actions", "govla/sim", false},
		{"tokenizer", "govla/policy/smolvla", false},
		{"tokenizer", "govla/robot", false},
		{"tokenizer", "govla/sim", false},
		{"internal/compute", "govla/actions", false},
		{"internal/compute", "govla/tokenizer", false},
		{"internal/compute", "govla/policy", false},
		{"internal/compute", "govla/robot", false},
		{"internal/compute", "govla/sim", false},
		{"internal/compute", "govla/cmd/vla", false},
		{"cmd/vla", "govla", false},     // the root has no package
		{"cmd/vla", "govla/new", false}, // no layer
		{"new", "govla/actions", false},
		{".", "govla/actions", false},
		{"policynot", "govla/policy", false},
		{"policy", "govla/robotics", false},

		{"cmd/vla", "govla/policy/smolvla", true},
		{"cmd/vla", "govla/robot", true},
		{"cmd/vla", "govla/sim/pusht", true},
		{"cmd/vla", "govla/internal/safetensors", true},
		{"policy/smolvla", "govla/policy/head", true},
		{"policy/train", "govla/actions/recording", true},
		{"policy/smolvla", "govla/tokenizer", true},
		{"policy/smolvla", "govla/internal/compute", true},
		{"robot/natsbus", "govla/robot", true},
		{"robot", "govla/actions", true},
		{"sim/pusht", "govla/robot", true},
		{"sim/eval", "govla/sim", true},
		{"actions/recording", "govla/actions", true},
		{"actions", "govla/internal/safetensors", true},
		{"tokenizer", "govla/internal/safetensors", true},
		{"internal/safetensors", "govla/internal/testenv", true},
		{"internal/safetensors", "golang.org/x/sys/unix", true},
		{"policy", "govlax/robot", true}, // another module, however similar
		{"new", "fmt", true},
	} {
		if err := checkImport(c.pkg, c.imported); (err == nil) != c.allowed {
			t.Errorf("%s importing %s: error %v, allowed is %v", c.pkg, c.imported, err, c.allowed)
		}
	}
}

// TestCheckTree shows that the walk finds violations wherever Go would compile them, and
// looks nowhere else.
func TestCheckTree(t *testing.T) {
	file := func(source string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(source)} }
	violations, looked, err := checkTree(fstest.MapFS{
		"actions/a.go":             file("package actions\n\nimport (\n\t\"fmt\"\n\t. \"govla/internal/x\"\n)\n"),
		"policy/train/tagged.go":   file("//go:build mujoco\n\npackage train\n\nimport _ `govla/sim/mujoco`\n"),
		"sim/eval/eval_arm64.go":   file("package eval\n\nimport \"os\"\nimport p \"govla/policy\"\n"),
		"sim/eval/eval_test.go":    file("package eval\n\nimport \"govla/policy\"\n"),
		"robot/testdata/broken.go": file("package"),
		"_old/robot/robot.go":      file("package robot\n\nimport \"govla/policy\"\n"),
		".ci/tool.go":              file("package main\n\nimport \"govla/policy\"\n"),
		"README.md":                file("import \"govla/policy\""),
	})
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, violation := range violations {
		name, _, _ := strings.Cut(violation.Error(), ": ")
		have = append(have, name)
	}
	if want := []string{"policy/train/tagged.go", "sim/eval/eval_arm64.go"}; !slices.Equal(have, want) || looked != 3 {
		t.Errorf("found violations in %v among %d imports, want %v among 3", have, looked, want)
	}
	if _, _, err := checkTree(fstest.MapFS{"robot/broken.go": file("package")}); err == nil {
		t.Error("a file that cannot be parsed passes")
	}
}
