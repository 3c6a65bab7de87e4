package smolvla

import (
	"io/fs"
	"os"

	"govla/internal/safetensors"
)

// openTensors opens a safetensors file of a checkpoint's folder: mapped into memory where it
// is on disk (os.DirFS), else read.
func openTensors(dir fs.FS, name string) (*safetensors.File, error) {
	file, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if onDisk, ok := file.(*os.File); ok {
		return safetensors.Open(onDisk.Name())
	}
	data, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, err
	}
	return safetensors.Parse(data, name)
}
