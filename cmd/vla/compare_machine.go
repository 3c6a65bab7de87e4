package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"govla/internal/compute"
	"govla/sim/eval/report"
)

// thisMachine describes the machine and the program for a report.
func thisMachine() report.Machine {
	version := "vla"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				version += " at " + s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				version += ", changed since"
			}
		}
	}
	return report.Machine{
		CPU: processor(), Cores: runtime.NumCPU(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Program: fmt.Sprintf("%s, %s, kernels: %s", version, runtime.Version(), compute.Active()),
	}
}

// commandLine returns what a shell takes to run the program again with these arguments.
func commandLine(arguments []string) string {
	words := []string{filepath.Base(arguments[0])}
	for _, word := range arguments[1:] {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%", r)
		}) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
