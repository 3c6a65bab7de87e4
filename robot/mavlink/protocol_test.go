package mavlink

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/bluenviron/gomavlib/v3/pkg/dialect"
	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/frame"
	"github.com/bluenviron/gomavlib/v3/pkg/message"
	"github.com/bluenviron/gomavlib/v3/pkg/streamwriter"

	"govla/actions"
)

// The frames of docs/protocol-mavlink.md are what this package sends, byte for byte, and
// hold what the document says, read by gomavlib.
func TestProtocolDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol-mavlink.md")
	if err != nil {
		t.Fatal(err)
	}
	frames := regexp.MustCompile(`(?m)^    (FD( [0-9A-F]{2})+)$`).FindAllSubmatch(page, -1)

	pixels := actions.Space{{Name: "x", Unit: "px", Min: 0, Max: 512}, {Name: "y", Unit: "px", Min: 0, Max: 512}}
	action := []float32{384, 128}
	vehicle := target{1, 1}
	step1 := uint64(180_388_626_433)
	score, err := appendVector(nil, vectorScore, stepStamp(42, 1), []float32{0.25, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	state, err := appendVector(nil, vectorState, stepStamp(42, 1), []float32{256, 100.5})
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	want := []struct {
		sent, holds message.Message
		vehicle     bool
	}{
		{sent: operatorHeartbeat(), holds: &common.MessageHeartbeat{Type: 6, Autopilot: 8, SystemStatus: 4, MavlinkVersion: 3}},
		{sent: armCommand(1), holds: &common.MessageCommandLong{TargetSystem: 1, TargetComponent: 1, Command: 400, Param1: 1}},
		{
			sent:  ControlTarget.encode(nil, pixels, action, vehicle, 1_700_000_000_000_000)[0],
			holds: &common.MessageSetActuatorControlTarget{TimeUsec: 1_700_000_000_000_000, TargetSystem: 1, TargetComponent: 1, Controls: [8]float32{0.5, -0.5}},
		},
		{
			sent:  reset{seed: 16_777_223, lockstep: true, episode: 42}.encode(vehicle, 0),
			holds: &common.MessageCommandLong{TargetSystem: 1, TargetComponent: 1, Command: 31010, Param1: 7, Param2: 1, Param3: 1, Param4: 42},
		},
		{
			sent:  ControlTarget.encode(nil, pixels, action, vehicle, stepStamp(42, 1))[0],
			holds: &common.MessageSetActuatorControlTarget{TimeUsec: step1, TargetSystem: 1, TargetComponent: 1, Controls: [8]float32{0.5, -0.5}},
		},
		{vehicle: true, sent: score[0], holds: &common.MessageDebugFloatArray{TimeUsec: step1, Name: "score", Data: [58]float32{0.25, 0, 0, 1, nan}}},
		{vehicle: true, sent: state[0], holds: &common.MessageDebugFloatArray{TimeUsec: step1, Name: "state", Data: [58]float32{256, 100.5, nan}}},
		{
			sent:  SetActuator.encode(nil, pixels, action, vehicle, 0)[0],
			holds: &common.MessageCommandLong{TargetSystem: 1, TargetComponent: 1, Command: 187, Param1: 0.5, Param2: -0.5, Param3: nan, Param4: nan, Param5: nan, Param6: nan},
		},
		{
			sent: ChannelsOverride.encode(nil, pixels, action, vehicle, 0)[0],
			holds: &common.MessageRcChannelsOverride{
				TargetSystem: 1, TargetComponent: 1, Chan1Raw: 1750, Chan2Raw: 1250,
				Chan3Raw: 65535, Chan4Raw: 65535, Chan5Raw: 65535, Chan6Raw: 65535, Chan7Raw: 65535, Chan8Raw: 65535,
			},
		},
	}
	if len(frames) != len(want) {
		t.Fatalf("the page has %d frames, want %d", len(frames), len(want))
	}

	known := &dialect.ReadWriter{Dialect: common.Dialect}
	if err := known.Initialize(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	operatorWriter := newWriter(t, &out, known, operatorSystem, operatorComponent)
	vehicleWriter := newWriter(t, &out, known, 1, component)
	for i, w := range want {
		data, err := hex.DecodeString(strings.ReplaceAll(string(frames[i][1]), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		writer := operatorWriter
		if w.vehicle {
			writer = vehicleWriter
		}
		out.Reset()
		if err := writer.Write(w.sent); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), data) {
			t.Errorf("frame %d: this package sends % X, the page has % X", i, out.Bytes(), data)
		}
		reader := &frame.Reader{BufByteReader: bufio.NewReader(bytes.NewReader(data)), DialectRW: known}
		if err := reader.Initialize(); err != nil {
			t.Fatal(err)
		}
		read, err := reader.Read()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if !same(read.GetMessage(), w.holds) {
			t.Errorf("frame %d holds %+v, want %+v", i, read.GetMessage(), w.holds)
		}
	}
}

func newWriter(t *testing.T, out *bytes.Buffer, known *dialect.ReadWriter, system, comp byte) *streamwriter.Writer {
	t.Helper()
	frames := &frame.Writer{ByteWriter: out, DialectRW: known}
	if err := frames.Initialize(); err != nil {
		t.Fatal(err)
	}
	writer := &streamwriter.Writer{FrameWriter: frames, Version: streamwriter.V2, SystemID: system, ComponentID: comp}
	if err := writer.Initialize(); err != nil {
		t.Fatal(err)
	}
	return writer
}

// same compares messages as bytes, where NaN is equal to NaN.
func same(a, b message.Message) bool {
	rw := &message.ReadWriter{Message: b}
	return reflect.TypeOf(a) == reflect.TypeOf(b) && rw.Initialize() == nil &&
		bytes.Equal(rw.Write(a, true).Payload, rw.Write(b, true).Payload)
}
