package recording

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
)

func FuzzParseInfo(f *testing.F) {
	f.Add([]byte(``))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"codebase_version": "v3.0", "fps": 10, "data_path": "d/{chunk_index:03d}", "features": {"a": {"dtype": "float32", "shape": [2], "names": {"motors": ["x", "y"]}}}}`))
	f.Add([]byte(`{"codebase_version": "v2.1", "fps": 1e-9, "data_path": "{episode_index:99d}", "video_path": "{video_key}", "features": {"v": {"dtype": "video", "shape": [480, 640, 3], "info": {"video.codec": "av1"}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := parseInfo(data)
		if err != nil {
			return
		}
		if info.major() == 0 || !(info.FPS > 0) || info.ChunkSize < 1 {
			t.Errorf("accepted version %q, %v frames a second, chunks of %d", info.Version, info.FPS, info.ChunkSize)
		}
		for name, feature := range info.Features {
			if w := feature.Width(); w < 1 || w > maxWidth {
				t.Errorf("accepted feature %s of width %d", name, w)
			}
		}
		length := 1
		episodes, err := placeEpisodes(info, []episodeRecord{{Index: new(0), Length: &length}})
		if err == nil && !filepath.IsLocal(filepath.FromSlash(episodes[0].File)) {
			t.Errorf("episode 0 lies in %q, outside the dataset's folder", episodes[0].File)
		}
	})
}

func FuzzStats(f *testing.F) {
	f.Add([]byte(`{"a": {"min": [0], "max": [[[1]]], "mean": [true], "std": [0.5], "count": [3]}}`))
	f.Add([]byte(`{"a": {"count": [-1]}, "b": {"min": {}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var stats map[string]Stats
		if json.Unmarshal(data, &stats) != nil {
			return
		}
		for name, s := range stats {
			twice, err := s.merge(s)
			if err == nil && s.Count > 0 && twice.Count < s.Count {
				t.Errorf("%s: a count of %d, merged with itself, is %d", name, s.Count, twice.Count)
			}
		}
	})
}

// Whatever the bytes, a parquet file is read or refused.
func FuzzParquet(f *testing.F) {
	sound := soundParquet(f)
	f.Add(sound)
	f.Add(sound[:len(sound)/2])
	f.Add([]byte("PAR1PAR1"))
	f.Fuzz(readOrRefuse)
}

// The same for a sound file with a few bytes changed, which gets further into the reader
// than what a short run of the fuzzer finds.
func TestChangedBytes(t *testing.T) {
	sound := soundParquet(t)
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 0))
		data := bytes.Clone(sound)
		for range 1 + r.IntN(4) {
			data[r.IntN(len(data))] = byte(r.Uint32())
		}
		readOrRefuse(t, data)
	}
}

func soundParquet(t testing.TB) []byte {
	var sound bytes.Buffer
	if err := parquet.Write(&sound, fixtureRows()[1]); err != nil {
		t.Fatal(err)
	}
	return sound.Bytes()
}

func readOrRefuse(t *testing.T, data []byte) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.parquet"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := openParquet(dir, "a.parquet")
	if err != nil {
		wantRefused(t, err)
		return
	}
	defer p.Close()
	ctx := context.Background()
	for _, column := range p.columns() {
		rows := min(p.rows, 1000)
		values, err := readFloats[float32](ctx, p, column, 1, 0, rows, nil)
		switch {
		case err != nil:
			wantRefused(t, err)
		case len(values) != rows:
			t.Errorf("column %q: have %d values of %d rows and no error", column, len(values), rows)
		}
		if _, err := p.readStrings(ctx, column); err != nil {
			wantRefused(t, err)
		}
	}
}

func wantRefused(t *testing.T, err error) {
	t.Helper()
	var d *Defect
	if !errors.As(err, &d) || d.File != "a.parquet" {
		t.Errorf("have error %v, want a Defect of a.parquet", err)
	}
}

// A footer whose list claims more elements than it has bytes is refused before memory is
// taken for them.
func TestFooterThatAsksForMemory(t *testing.T) {
	schema := []byte{
		0x29,                                           // field 2, a list
		0xfc, 0x80, 0x80, 0x80, 0x80, 0x04, 0x00, 0x00, // of 1<<30 structures
	}
	file := slices.Concat([]byte("PAR1"), schema, []byte{byte(len(schema)), 0, 0, 0}, []byte("PAR1"))
	if err := checkFooter(bytes.NewReader(file), int64(len(file))); !errors.Is(err, errThrift) {
		t.Errorf("have error %v, want %v", err, errThrift)
	}
	sound := soundParquet(t)
	if err := checkFooter(bytes.NewReader(sound), int64(len(sound))); err != nil {
		t.Errorf("a sound file: %v", err)
	}
}

func FuzzMP4(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x08moov"))
	f.Add([]byte("\x00\x00\x00\x01moov\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x00\x00\x28moov\x00\x00\x00\x20trak\x00\x00\x00\x18mdia\x00\x00\x00\x00hdlr\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		video, err := parseMP4(bytes.NewReader(data), int64(len(data)))
		if err == nil && len(video.codec) == 0 {
			t.Error("accepted a video without a codec")
		}
		layout, err := parseLayout(bytes.NewReader(data), int64(len(data)))
		if err == nil && layout.frames != video.frames {
			t.Errorf("have a layout of %d frames, want the %d of the head", layout.frames, video.frames)
		}
	})
}

func FuzzPAM(f *testing.F) {
	f.Add([]byte("P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\nabcd"))
	f.Add([]byte("P7\nWIDTH 99999999\nHEIGHT 99999999\nDEPTH 4\nMAXVAL 255\nENDHDR\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := readPAM(bufio.NewReader(bytes.NewReader(data)))
		if err == nil && len(frame.Pix) > len(data) {
			t.Errorf("have %d bytes of pixels out of %d", len(frame.Pix), len(data))
		}
	})
}
