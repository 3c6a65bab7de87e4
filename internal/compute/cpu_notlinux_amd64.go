//go:build amd64 && !linux

package compute

// requestTiles says no: only Linux's way of asking is known here.
func requestTiles() bool { return false }
