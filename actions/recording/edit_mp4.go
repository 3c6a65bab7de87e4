package recording

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// videoLayout is what an MP4 file says of the order and times of its frames.
type videoLayout struct {
	frames      int
	rate        float64 // frames a second where all last equally long, else 0
	reordered   bool    // the frames are not stored in the order in which they are shown
	allKeys     bool    // every frame can be decoded alone
	keys        []int   // those that can, counted from 0, rising; unless allKeys
	description []byte  // the codec's parameters: videos with the same ones can be joined
}

// keyAt reports whether decoding can begin at a frame.
func (l *videoLayout) keyAt(frame int) bool {
	if l.allKeys {
		return true
	}
	_, found := slices.BinarySearch(l.keys, frame)
	return found
}

// steady reports whether frame i is stored as number i and shown at i/fps.
func (l *videoLayout) steady(fps float64) bool {
	return !l.reordered && math.Abs(l.rate-fps) < 1e-4*fps
}

// readLayout reads the head of the MP4 file at path.
func readLayout(path string) (*videoLayout, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	layout, err := parseLayout(file, stat.Size())
	if err != nil {
		return nil, unreadable(filepath.Base(path), err, "an MP4 file with a video track")
	}
	return layout, nil
}

// maxTable bounds the size of a table in an MP4 file's head, in bytes.
const maxTable = 1 << 28

func parseLayout(r io.ReaderAt, size int64) (*videoLayout, error) {
	video, err := parseMP4(r, size)
	if err != nil {
		return nil, err
	}
	trak, err := videoTrack(r, size)
	if err != nil {
		return nil, err
	}
	mdia, err := findBox(r, trak.begin, trak.end, "mdia")
	if err != nil {
		return nil, err
	}
	timescale, err := parseTimescale(r, mdia)
	if err != nil {
		return nil, err
	}
	stbl := mdia
	for _, name := range []string{"minf", "stbl"} {
		if stbl, err = findBox(r, stbl.begin, stbl.end, name); err != nil {
			return nil, err
		}
	}
	l := &videoLayout{frames: video.frames}
	if l.description, err = readDescription(r, stbl); err != nil {
		return nil, err
	}
	durations, err := readTable(r, stbl, "stts") // pairs of a count and a duration
	if err != nil {
		return nil, err
	}
	l.rate = steadyRate(durations, timescale)
	if _, err := findBox(r, stbl.begin, stbl.end, "ctts"); err == nil {
		l.reordered = true
	}
	keys, err := readTable(r, stbl, "stss") // absent where all frames are key frames
	if err != nil {
		l.allKeys = true
		return l, nil
	}
	for i := 8; i+4 <= len(keys); i += 4 {
		l.keys = append(l.keys, int(binary.BigEndian.Uint32(keys[i:]))-1)
	}
	return l, nil
}

// readDescription returns the configuration of the decoder. What else stands beside it,
// such as the bit rate, differs from file to file.
func readDescription(r io.ReaderAt, stbl box) ([]byte, error) {
	stsd, err := findBox(r, stbl.begin, stbl.end, "stsd")
	if err != nil {
		return nil, err
	}
	const entry, fields = 8, 86 // where the first entry begins, where the boxes inside it do
	for _, name := range []string{"avcC", "av1C", "hvcC", "vpcC", "esds"} {
		if found, err := findBox(r, stsd.begin+entry+fields, stsd.end, name); err == nil && found.end-found.begin < maxTable {
			return found.read(r, found.end-found.begin)
		}
	}
	return readTable(r, stbl, "stsd")
}

// videoTrack returns the first track whose handler is video.
func videoTrack(r io.ReaderAt, size int64) (box, error) {
	moov, err := findBox(r, 0, size, "moov")
	if err != nil {
		return box{}, err
	}
	for at := moov.begin; ; {
		trak, err := findBox(r, at, moov.end, "trak")
		if err != nil {
			return box{}, err
		}
		mdia, err := findBox(r, trak.begin, trak.end, "mdia")
		if err != nil {
			return box{}, err
		}
		hdlr, err := findBox(r, mdia.begin, mdia.end, "hdlr")
		if err != nil {
			return box{}, err
		}
		if handler, err := hdlr.read(r, 12); err != nil || string(handler[8:12]) == "vide" {
			return trak, err
		}
		at = trak.end
	}
}

// parseTimescale reads how many ticks a second has.
func parseTimescale(r io.ReaderAt, mdia box) (uint32, error) {
	mdhd, err := findBox(r, mdia.begin, mdia.end, "mdhd")
	if err != nil {
		return 0, err
	}
	content, err := mdhd.read(r, 24)
	if err != nil {
		return 0, err
	}
	if content[0] == 1 { // version 1 has times of 64 bits before it
		return binary.BigEndian.Uint32(content[20:]), nil
	}
	return binary.BigEndian.Uint32(content[12:]), nil
}

// readTable returns the content of a box of stbl, which begins with version and flags.
func readTable(r io.ReaderAt, stbl box, name string) ([]byte, error) {
	found, err := findBox(r, stbl.begin, stbl.end, name)
	if err != nil {
		return nil, err
	}
	size := found.end - found.begin
	if size < 8 || size > maxTable {
		return nil, fmt.Errorf("box %s of %d bytes", name, size)
	}
	return found.read(r, size)
}

// steadyRate returns the frames a second of a table stts, 0 where they last differently.
// The last frame may: nothing comes behind it.
func steadyRate(durations []byte, timescale uint32) float64 {
	entries := (len(durations) - 8) / 8
	var ticks uint32
	for i := range entries {
		count := binary.BigEndian.Uint32(durations[8+8*i:])
		duration := binary.BigEndian.Uint32(durations[12+8*i:])
		last := i > 0 && i == entries-1 && count == 1
		if i > 0 && duration != ticks && !last {
			return 0
		}
		if i == 0 {
			ticks = duration
		}
	}
	if ticks == 0 {
		return 0
	}
	return float64(timescale) / float64(ticks)
}
