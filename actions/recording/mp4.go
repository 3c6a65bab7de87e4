package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// mp4Video is what the head of an MP4 file says of its first video track.
type mp4Video struct {
	codec         string // as in info.json: "av1", "h264", "hevc", "mpeg4", "vp9", or the sample entry's own code
	width, height int
	frames        int
}

// probeVideo reads the head of the MP4 file called name in the folder dir; no frame is
// decoded.
func probeVideo(dir, name string) (mp4Video, error) {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return mp4Video{}, missingFile(name, err)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return mp4Video{}, unreadable(name, err, "an MP4 file")
	}
	video, err := parseMP4(file, stat.Size())
	if err != nil {
		return mp4Video{}, unreadable(name, err, "an MP4 file with a video track")
	}
	return video, nil
}

// parseMP4 walks the boxes of ISO/IEC 14496-12: moov, trak, mdia, minf, stbl, and there
// stsd for the codec and size, stsz for the number of frames.
func parseMP4(r io.ReaderAt, size int64) (mp4Video, error) {
	moov, err := findBox(r, 0, size, "moov")
	if err != nil {
		return mp4Video{}, err
	}
	for at := moov.begin; ; {
		trak, err := findBox(r, at, moov.end, "trak")
		if err != nil {
			return mp4Video{}, fmt.Errorf("video track: %w", err)
		}
		video, err := parseTrack(r, trak)
		if err == nil || !errors.Is(err, errNotVideo) {
			return video, err
		}
		at = trak.end
	}
}

var errNotVideo = errors.New("not a video track")

func parseTrack(r io.ReaderAt, trak box) (mp4Video, error) {
	mdia, err := findBox(r, trak.begin, trak.end, "mdia")
	if err != nil {
		return mp4Video{}, err
	}
	hdlr, err := findBox(r, mdia.begin, mdia.end, "hdlr")
	if err != nil {
		return mp4Video{}, err
	}
	handler, err := hdlr.read(r, 12) // version and flags, pre-defined, handler type
	if err != nil {
		return mp4Video{}, err
	}
	if string(handler[8:12]) != "vide" {
		return mp4Video{}, errNotVideo
	}
	stbl := mdia
	for _, name := range []string{"minf", "stbl"} {
		if stbl, err = findBox(r, stbl.begin, stbl.end, name); err != nil {
			return mp4Video{}, err
		}
	}
	stsd, err := findBox(r, stbl.begin, stbl.end, "stsd")
	if err != nil {
		return mp4Video{}, err
	}
	// Version and flags, number of entries; then the first entry: size, code, 24 bytes that
	// say nothing of use, width, height.
	entry, err := stsd.read(r, 44)
	if err != nil {
		return mp4Video{}, err
	}
	stsz, err := findBox(r, stbl.begin, stbl.end, "stsz")
	if err != nil {
		return mp4Video{}, err
	}
	sizes, err := stsz.read(r, 12) // version and flags, common size, count
	if err != nil {
		return mp4Video{}, err
	}
	return mp4Video{
		codec:  codecName(string(entry[12:16])),
		width:  int(binary.BigEndian.Uint16(entry[40:])),
		height: int(binary.BigEndian.Uint16(entry[42:])),
		frames: int(binary.BigEndian.Uint32(sizes[8:])),
	}, nil
}

// codecName gives the names of codecs, of encoders and of MP4's sample entries, all of
// which are found in info.json, one spelling.
func codecName(name string) string {
	switch name {
	case "av01", "libsvtav1", "libaom-av1":
		return "av1"
	case "avc1", "avc3", "libx264", "h264_nvenc":
		return "h264"
	case "hev1", "hvc1", "libx265", "h265":
		return "hevc"
	case "mp4v":
		return "mpeg4"
	case "vp09", "libvpx-vp9":
		return "vp9"
	}
	return name
}

// box is the content of an MP4 box: the bytes [begin, end) of the file.
type box struct{ begin, end int64 }

func (b box) read(r io.ReaderAt, n int64) ([]byte, error) {
	if b.end-b.begin < n {
		return nil, fmt.Errorf("box of %d bytes at %d, want at least %d", b.end-b.begin, b.begin, n)
	}
	content := make([]byte, n)
	if _, err := r.ReadAt(content, b.begin); err != nil {
		return nil, err
	}
	return content, nil
}

// findBox returns the first box called name among those between begin and end.
func findBox(r io.ReaderAt, begin, end int64, name string) (box, error) {
	for at := begin; at < end; {
		header, err := box{at, end}.read(r, 8)
		if err != nil {
			return box{}, err
		}
		length, headerLength := int64(binary.BigEndian.Uint32(header)), int64(8)
		switch length {
		case 0: // up to the end
			length = end - at
		case 1: // 64 bits follow
			large, err := box{at + 8, end}.read(r, 8)
			if err != nil {
				return box{}, err
			}
			length, headerLength = int64(binary.BigEndian.Uint64(large)), 16
		}
		if length < headerLength || length > end-at {
			return box{}, fmt.Errorf("box %q at byte %d has a length of %d", header[4:8], at, length)
		}
		if string(header[4:8]) == name {
			return box{at + headerLength, at + length}, nil
		}
		at += length
	}
	return box{}, fmt.Errorf("no box %q", name)
}
