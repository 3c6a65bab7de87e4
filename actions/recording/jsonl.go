package recording

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// readLines calls visit with every JSON object of the JSON-lines file called name.
func readLines[T any](dir, name string, visit func(T) error) error {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return missingFile(name, err)
	}
	defer file.Close()
	decoder := json.NewDecoder(bufio.NewReader(file))
	for line := 0; ; line++ {
		var value T
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = visit(value)
		}
		if err != nil {
			defect := unreadable(name, err, "one JSON object a line, with the fields of LeRobotDataset")
			if defect.Row == nil {
				defect.Row = new(line)
			}
			return defect
		}
	}
}
