package recording

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// expand fills a path template of info.json, in the part of Python's format language that
// LeRobot uses: {name}, {name:d} and {name:03d}. key says which template it is. The path
// is relative to the dataset's folder, with slashes, and never leaves it.
func expand(key, template string, fields map[string]any) (string, error) {
	wrong := func(found, expected string) error {
		return &Defect{File: infoFile, Column: key, Found: found, Expected: expected}
	}
	var path strings.Builder
	for rest := template; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		path.WriteString(before)
		if !found {
			break
		}
		field, tail, found := strings.Cut(after, "}")
		if !found {
			return "", wrong(strconv.Quote(template), "a closing } for each {")
		}
		rest = tail
		name, format, _ := strings.Cut(field, ":")
		switch value := fields[name].(type) {
		case int:
			digits, err := paddedWidth(format)
			if err != nil {
				return "", wrong(strconv.Quote("{"+field+"}"), "a format like {name}, {name:d} or {name:03d}")
			}
			fmt.Fprintf(&path, "%0*d", digits, value)
		case string:
			path.WriteString(value)
		default:
			return "", wrong(strconv.Quote("{"+field+"}"), "one of the fields "+strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
	}
	if p := path.String(); !filepath.IsLocal(filepath.FromSlash(p)) {
		return "", wrong(strconv.Quote(p), "a path inside the dataset's folder")
	}
	return path.String(), nil
}

// paddedWidth reads "", "d" and "03d".
func paddedWidth(format string) (int, error) {
	digits := strings.TrimPrefix(strings.TrimSuffix(format, "d"), "0")
	if digits == "" {
		return 0, nil
	}
	width, err := strconv.Atoi(digits)
	if err != nil || width < 0 || width > 32 {
		return 0, fmt.Errorf("format %q", format)
	}
	return width, nil
}
