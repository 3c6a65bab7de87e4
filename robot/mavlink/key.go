package mavlink

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/bluenviron/gomavlib/v3/pkg/frame"
)

// Key is the secret that both ends sign their frames with (MAVLink 2 message signing).
type Key [32]byte

// ParseKey reads a key: 32 raw bytes, or 64 hexadecimal digits with blanks around them.
func ParseKey(data []byte) (*Key, error) {
	key := new(Key)
	if len(data) == len(key) {
		copy(key[:], data)
		return key, nil
	}
	digits := bytes.TrimSpace(data)
	if len(digits) != hex.EncodedLen(len(key)) {
		return nil, fmt.Errorf("signing key of %d bytes, want 32 bytes or 64 hexadecimal digits", len(data))
	}
	if _, err := hex.Decode(key[:], digits); err != nil {
		return nil, fmt.Errorf("signing key: want 32 bytes or 64 hexadecimal digits: %w", err)
	}
	return key, nil
}

// ReadKey reads a key from the file at path, in either form of ParseKey.
func ReadKey(path string) (*Key, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	key, err := ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// signingEpoch is where the time stamps of signatures begin; they count 10 µs.
var signingEpoch = time.Date(2015, time.January, 1, 0, 0, 0, 0, time.UTC)

const (
	signingTick = 10 * time.Microsecond
	// newStreamAge is how far behind the clock the first frame of a stream may be
	// (mavlink.io, Message Signing, "Timestamp Handling").
	newStreamAge = time.Minute
)

// replayGuard refuses signed frames that were sent before. gomavlib checks signatures and
// lets a frame be ten seconds old; this is the rest of what mavlink.io asks for: within a
// stream (system, component, link) time only goes forward, and a new stream is no more
// than a minute behind the clock.
type replayGuard struct {
	streams map[stream]instant
}

type stream struct{ system, component, link byte }

// instant orders frames within a stream. gomavlib gives frames that it sends within 10 µs
// the same time stamp, so the frame's own sequence number decides between those.
type instant struct {
	ticks    uint64
	sequence byte
}

// check accepts a frame whose signature was found right, or says why not.
func (g *replayGuard) check(f *frame.V2Frame, now time.Time) error {
	from := stream{f.SystemID, f.ComponentID, f.SignatureLinkID}
	at := instant{f.SignatureTimestamp, f.SequenceNumber}
	last, known := g.streams[from]
	switch {
	case !known:
		oldest := max(0, now.Add(-newStreamAge).Sub(signingEpoch)/signingTick)
		if at.ticks < uint64(oldest) {
			return fmt.Errorf("first signed frame of system %d is %v behind this clock, want at most %v", f.SystemID, time.Duration(uint64(oldest)-at.ticks)*signingTick+newStreamAge, newStreamAge)
		}
	case at.ticks < last.ticks, at.ticks == last.ticks && int8(at.sequence-last.sequence) <= 0:
		return fmt.Errorf("signed frame of system %d was seen before", f.SystemID)
	}
	if g.streams == nil {
		g.streams = make(map[stream]instant)
	}
	g.streams[from] = at
	return nil
}
