package recording

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

const infoFile = "meta/info.json"

// Info is what meta/info.json promises of a recording. Only Verify holds the files to it.
type Info struct {
	Version       string             `json:"codebase_version"` // "v3.0", "v2.1"
	Robot         string             `json:"robot_type"`
	FPS           float64            `json:"fps"` // rows a second
	TotalEpisodes int                `json:"total_episodes"`
	TotalFrames   int                `json:"total_frames"`
	TotalTasks    int                `json:"total_tasks"`
	ChunkSize     int                `json:"chunks_size"` // files, or in v2 episodes, to a chunk folder
	DataPath      string             `json:"data_path"`   // template of the parquet files' paths
	VideoPath     string             `json:"video_path"`  // template of the videos' paths; empty without videos
	Features      map[string]Feature `json:"features"`    // by name

	// Sizes at which a writer begins the next file, in MiB; 0 stands for LeRobot's own
	// limits, 100 and 200.
	DataFilesMB  int `json:"data_files_size_in_mb"`
	VideoFilesMB int `json:"video_files_size_in_mb"`
}

// Feature is one column of a recording, or one camera.
type Feature struct {
	DType string   // "float32", "int64", "bool", "string", "video", "image", ...
	Shape []int    // of one row; [height width channels] for most cameras
	Names []string // one for each dimension of a vector, or for each axis of an image; may be empty
	Codec string   // of a video: "av1", "h264", ...; empty where it is not said
}

// maxWidth bounds the numbers in one row of a feature: info.json comes from outside and
// must not decide how much memory is taken.
const maxWidth = 1 << 24

// Width is the number of values in one row: the product of Shape.
func (f Feature) Width() int {
	width := 1
	for _, n := range f.Shape {
		width *= n
	}
	return width
}

// Camera reports whether rows of the feature are images.
func (f Feature) Camera() bool { return f.DType == "video" || f.DType == "image" }

// Cameras returns the names of the features that are pictures, sorted.
func (info *Info) Cameras() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(info.Features)) {
		if info.Features[name].Camera() {
			names = append(names, name)
		}
	}
	return names
}

// Numeric reports whether rows of the feature are numbers or truth values.
func (f Feature) Numeric() bool {
	switch f.DType {
	case "bool", "float16", "float32", "float64",
		"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64":
		return true
	}
	return false
}

// parseInfo reads the content of meta/info.json.
func parseInfo(data []byte) (*Info, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &Defect{File: infoFile, Found: fmt.Sprintf("%d bytes without content", len(data)), Expected: "a JSON object"}
	}
	info := &Info{}
	if err := json.Unmarshal(data, info); err != nil {
		return nil, unreadable(infoFile, err, "the JSON object of a LeRobotDataset")
	}
	wrong := func(key, found, expected string) error {
		return &Defect{File: infoFile, Column: key, Found: found, Expected: expected}
	}
	switch {
	case info.major() == 0:
		return nil, wrong("codebase_version", strconv.Quote(info.Version), `"v2.0", "v2.1" or "v3.x"`)
	case !(info.FPS > 0) || math.IsInf(info.FPS, 0):
		return nil, wrong("fps", fmt.Sprint(info.FPS), "a positive number")
	case info.ChunkSize < 0:
		return nil, wrong("chunks_size", fmt.Sprint(info.ChunkSize), "a positive number")
	case info.DataPath == "":
		return nil, wrong("data_path", "none", "a template of the parquet files' paths")
	case len(info.Features) == 0:
		return nil, wrong("features", "none", "an object with at least one feature")
	}
	if info.ChunkSize == 0 {
		info.ChunkSize = 1000 // LeRobot's own default
	}
	for name, f := range info.Features {
		if f.Camera() && f.DType == "video" && info.VideoPath == "" {
			return nil, wrong("video_path", "none", fmt.Sprintf("a template of the videos' paths, because %s is a video", name))
		}
	}
	return info, nil
}

// major is 2 or 3, or 0 for a version that this package does not read.
func (info *Info) major() int {
	switch {
	case info.Version == "v2.0" || info.Version == "v2.1":
		return 2
	case info.Version == "v3" || strings.HasPrefix(info.Version, "v3."):
		return 3
	}
	return 0
}

// FeatureNames returns the features' names, sorted.
func (info *Info) FeatureNames() []string {
	return slices.Sorted(maps.Keys(info.Features))
}

// UnmarshalJSON reads a feature of info.json in every form met: names as a list, as an
// object of lists, as an object from name to position, or null; the codec under "info"
// or "video_info".
func (f *Feature) UnmarshalJSON(data []byte) error {
	var raw struct {
		DType     string          `json:"dtype"`
		Shape     []int           `json:"shape"`
		Names     json.RawMessage `json:"names"`
		Info      videoInfo       `json:"info"`
		VideoInfo videoInfo       `json:"video_info"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("feature: %w", err)
	}
	if raw.DType == "" {
		return fmt.Errorf("feature %.80s: have no dtype", data)
	}
	width := 1
	for _, n := range raw.Shape {
		if n < 1 || n > maxWidth/width {
			return fmt.Errorf("feature of dtype %s: have shape %v, want positive lengths with a product of at most %d", raw.DType, raw.Shape, maxWidth)
		}
		width *= n
	}
	names, err := featureNames(raw.Names)
	if err != nil {
		return fmt.Errorf("feature of dtype %s and shape %v: names: %w", raw.DType, raw.Shape, err)
	}
	codec := raw.Info.Codec
	if codec == "" {
		codec = raw.VideoInfo.Codec
	}
	*f = Feature{DType: raw.DType, Shape: raw.Shape, Names: names, Codec: codec}
	return nil
}

type videoInfo struct {
	Codec string `json:"video.codec"`
}

// featureNames flattens the names of a feature, in the order of the document.
func featureNames(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var positions map[string]int
	if json.Unmarshal(raw, &positions) == nil {
		names := slices.Collect(maps.Keys(positions))
		slices.SortFunc(names, func(a, b string) int {
			if c := positions[a] - positions[b]; c != 0 {
				return c
			}
			return strings.Compare(a, b)
		})
		return names, nil
	}

	// What remains are lists, in objects or not: the strings and numbers that are not
	// keys, as they come.
	var names []string
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value func() error
	value = func() error {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case json.Delim:
			for decoder.More() {
				if t == '{' {
					if _, err := decoder.Token(); err != nil { // the key
						return err
					}
				}
				if err := value(); err != nil {
					return err
				}
			}
			_, err = decoder.Token() // the closing delimiter
			return err
		case string:
			names = append(names, t)
		case json.Number:
			names = append(names, t.String())
		default:
			return fmt.Errorf("have %v, want a list of names", t)
		}
		return nil
	}
	if err := value(); err != nil {
		return nil, err
	}
	return names, nil
}
