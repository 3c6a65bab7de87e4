package recording

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
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
	var sound bytes.Buffer
	if err := parquet.Write(&sound, fixtureRows()[1]); err != nil {
		f.Fatal(err)
	}
	f.Add(sound.Bytes())
	f.Add(sound.Bytes()[:sound.Len()/2])
	f.Add([]byte("PAR1PAR1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.parquet"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := openParquet(dir, "a.parquet")
		if err != nil {
			wantDefect(t, err, "a.parquet", "", "")
			return
		}
		defer p.Close()
		ctx := context.Background()
		for _, column := range p.columns() {
			rows := min(p.rows, 1000)
			values, err := readFloats[float32](ctx, p, column, 1, 0, rows, nil)
			if err == nil && len(values) != rows {
				t.Errorf("column %q: have %d values of %d rows and no error", column, len(values), rows)
			}
			p.readStrings(ctx, column)
		}
	})
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
