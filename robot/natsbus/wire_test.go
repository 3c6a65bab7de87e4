package natsbus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/png"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"govla/actions"
	"govla/robot"
)

var planar = actions.Space{
	{Name: "x", Unit: "m", Min: -1, Max: 1, MaxRate: 2},
	{Name: "y", Unit: "m", Min: -1, Max: 1, MaxRate: 2},
}

// TestStateIsLossless sends every float32 through the JSON of a state.
func TestStateIsLossless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		finite := rapid.Float32().Filter(func(v float32) bool { return v-v == 0 })
		want := stateMessage{
			State:       rapid.SliceOfN(finite, 2, 2).Draw(t, "state"),
			Instruction: rapid.String().Draw(t, "instruction"),
			Score:       &robot.Score{Reward: rapid.Float64Range(0, 1).Draw(t, "reward"), Step: rapid.Int().Draw(t, "step")},
		}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := stateMessage{State: []float32{7, 7, 7}, Instruction: "old", Score: &robot.Score{Done: true}}
		if err := decodeState(data, &robot.Spec{State: planar}, &got); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		for i := range want.State {
			if math.Float32bits(got.State[i]) != math.Float32bits(want.State[i]) {
				t.Errorf("%s: dimension %d is %v, want %v", data, i, got.State[i], want.State[i])
			}
		}
		if got.Instruction != strings.ToValidUTF8(want.Instruction, "\ufffd") || *got.Score != *want.Score {
			t.Errorf("%s: got %+v", data, got)
		}
	})
}

func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		`{"action":[0.5,-0.5]}`, `{"action":[0.5,-0.5],"lockstep":true}`, `{"action":[1e39,0]}`, `{"action":[1]}`,
		`{"action":null}`, `{"action":["a","b"]}`, `{"action":[2,0]}`, `[]`, `null`, ``, `{`, `{"action":[0,0]} x`,
	} {
		f.Add("operator", "1", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, session, number string, data []byte) {
		header := nats.Header{headerSession: {session}, headerSequence: {number}}
		if from, err := senderOf(header); err == nil {
			if subject := "vla." + from.session + ".state"; strings.ContainsAny(subject, " \t\r\n*>") || strings.Count(subject, ".") != 2 {
				t.Errorf("session %q", from.session)
			}
		}
		command, err := decodeCommand(data, planar)
		if err != nil {
			return
		}
		for i, v := range command.Action {
			if !(v >= planar[i].Min && v <= planar[i].Max) {
				t.Errorf("%s gives the action %v", data, command.Action)
			}
		}
		if len(command.Action) != len(planar) {
			t.Errorf("%s gives the action %v", data, command.Action)
		}
		again, err := json.Marshal(command)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := decodeCommand(again, planar); err != nil || !slices.Equal(second.Action, command.Action) || second.Lockstep != command.Lockstep {
			t.Errorf("%s, then %s: %v %v", data, again, second, err)
		}
	})
}

// FuzzState feeds a driver with whatever may come from the network.
func FuzzState(f *testing.F) {
	var gray bytes.Buffer
	if err := png.Encode(&gray, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		f.Fatal(err)
	}
	f.Add("1", "1", []byte(`{"state":[1,2],"score":{"reward":0.5,"success":false,"done":false,"step":3}}`), gray.Bytes(), []byte(`{"mode":"free"}`))
	f.Add("", "-1", []byte(`{"state":[1]}`), []byte{0xff, 0xd8, 0xff}, []byte(`{"ok":false,"error":{"code":"busy","message":"x"}}`))
	f.Add("x", "", []byte(`{"state":null}`), []byte("\x89PNG\r\n\x1a\n"), []byte(`{"mode":3}`))
	f.Fuzz(func(t *testing.T, number, ack string, state, image, other []byte) {
		d := &driver{
			name:     "fake",
			session:  "me",
			spec:     robot.Spec{Name: "fake", State: planar, Action: planar, Cameras: []string{"top"}, Rate: 10},
			subjects: subjectsOf("fake"),
			arrived:  make(chan struct{}, 1),
			pictures: make(map[string]picture),
		}
		header := nats.Header{headerSequence: {number}, headerAck: {ack}, headerSession: {"me"}}
		d.take(&nats.Msg{Subject: d.subjects.failure, Header: header, Data: other})
		d.take(&nats.Msg{Subject: d.subjects.heartbeat, Header: header, Data: other})
		d.take(&nats.Msg{Subject: d.subjects.camera + "top", Header: header, Data: image})
		d.take(&nats.Msg{Subject: d.subjects.camera + "side", Header: header, Data: image})
		if err := d.assemble(&nats.Msg{Subject: d.subjects.state, Header: header, Data: state}); err != nil {
			return
		}
		if d.newest.arrival.IsZero() {
			return // the picture did not fit the state
		}
		var obs actions.Observation
		d.newest.copyTo(&obs)
		if len(obs.State) != len(planar) || obs.Images["top"] == nil {
			t.Errorf("observation %+v", obs)
		}
		for _, v := range obs.State {
			if v-v != 0 {
				t.Errorf("state %v", obs.State)
			}
		}
		_, _ = decodeSpec(other)
	})
}

func TestDecodePictureRefuses(t *testing.T) {
	// The header of a PNG of 4097 by 4096 pixels (PNG specification, 11.2.2), and no more.
	header := []byte("IHDR\x00\x00\x10\x01\x00\x00\x10\x00\x08\x00\x00\x00\x00")
	large := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), header...)
	large = binary.BigEndian.AppendUint32(large, crc32.ChecksumIEEE(header))
	for want, data := range map[string][]byte{
		"EOF":            nil,
		"not a PNG":      []byte("no picture"),
		"unexpected EOF": large[:20],
		"4097 by 4096":   large,
		"JPEG":           {0xff, 0xd8, 0xff, 0xd9},
		"checksum":       slices.Concat(large[:30], []byte{1, 2, 3}),
		"dimension":      slices.Concat(large[:16], make([]byte, 40)),
	} {
		if _, err := decodePicture(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestNames checks that a name which is taken makes one token of a subject.
func TestNames(t *testing.T) {
	for _, name := range []string{"pusht", "so101-left_2", strings.Repeat("x", 64)} {
		if err := checkName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "a.b", "*", ">", "a b", "ä", "a\n", strings.Repeat("x", 65)} {
		if err := checkName(name); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

// TestProtocolDocument holds the document against the program: every header, subject,
// code, mode and JSON field that the program uses is explained.
func TestProtocolDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	words := []string{
		headerSession, headerSequence, headerAck, headerMonotonic, headerWall, headerType, discoverSubject,
		codeBadRequest, codeUnsupported, codeBusy, codeLost, codeLate, codeStale, codeFailed,
		modeFree, modeRealTime, modeLockstep, modeOffline,
	}
	s := subjectsOf("<robot>")
	words = append(words, s.spec, s.state, s.command, s.stop, s.reset, s.failure, s.heartbeat, s.camera+"<name>")
	for _, word := range words {
		if !bytes.Contains(document, []byte("`"+word+"`")) {
			t.Errorf("docs/protocol.md does not explain %s", word)
		}
	}
	everything, err := json.Marshal([]any{
		specMessage{Spec: robot.Spec{State: planar, Cameras: []string{"top"}}},
		stateMessage{Instruction: "x", Score: &robot.Score{}},
		commandMessage{Lockstep: true},
		resetMessage{},
		replyMessage{Initial: []float64{1}, Error: &failure{}},
		heartbeatMessage{Session: "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range regexp.MustCompile(`"([a-z_]+)":`).FindAllSubmatch(everything, -1) {
		if !bytes.Contains(document, slices.Concat([]byte("`"), field[1], []byte("`"))) {
			t.Errorf("docs/protocol.md does not explain the field %s", field[1])
		}
	}
}

// TestRedact keeps passwords and tokens out of messages.
func TestRedact(t *testing.T) {
	got := redact("nats://me:secret@one:4222, nats://secret@two:4222,nats://three:4222")
	if strings.Contains(got, "secret") || !strings.Contains(got, "one:4222") || !strings.Contains(got, "two:4222") || !strings.Contains(got, "nats://three:4222") {
		t.Error(got)
	}
}
