package natsbus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"govla/actions"
	"govla/robot"
)

// protocol is the version of the messages, in every answer to a spec request.
const protocol = 1

// The headers of a message. Numbers are decimal.
const (
	headerSession   = "Vla-Session" // whose command this is, or whose commands Vla-Ack counts
	headerSequence  = "Vla-Seq"     // number of a client's message, or of a state and its pictures
	headerAck       = "Vla-Ack"     // the newest number of Vla-Session that the robot has taken
	headerMonotonic = "Vla-Mono-Ns" // sender's monotonic clock, ns since it started
	headerWall      = "Vla-Wall-Ns" // sender's wall clock, ns since 1970 UTC
	headerType      = "Content-Type"
)

// discoverSubject is where every robot answers as it does on its spec subject.
const discoverSubject = "vla.discover"

// subjects are the subjects of one robot.
type subjects struct {
	spec, state, command, stop, reset, failure, heartbeat string
	camera                                                string // prefix, before the camera's name
}

func subjectsOf(name string) subjects {
	prefix := "vla." + name + "."
	return subjects{
		spec:      prefix + "spec",
		state:     prefix + "state",
		command:   prefix + "command",
		stop:      prefix + "stop",
		reset:     prefix + "reset",
		failure:   prefix + "error",
		heartbeat: prefix + "heartbeat",
		camera:    prefix + "camera.",
	}
}

// specMessage answers a spec request.
type specMessage struct {
	robot.Spec
	Simulator bool `json:"simulator"`
	Protocol  int  `json:"protocol"`
}

// stateMessage is the payload on a robot's state subject.
type stateMessage struct {
	State       vector       `json:"state"`
	Instruction string       `json:"instruction,omitempty"`
	Score       *robot.Score `json:"score,omitempty"` // of a simulator
}

// vector is a state or an action. It is finite: JSON has no NaN, a number beyond float32 is
// an error, and so is null, which encoding/json takes for 0 and which some encoders write
// for NaN.
type vector []float32

// UnmarshalJSON reads an array of numbers into the memory that v has.
func (v *vector) UnmarshalJSON(data []byte) error {
	if bytes.Contains(data, []byte("null")) {
		return errors.New("null is not a number")
	}
	return json.Unmarshal(data, (*[]float32)(v))
}

// commandMessage is the payload on a robot's command subject.
type commandMessage struct {
	Action   vector `json:"action"`
	Lockstep bool   `json:"lockstep,omitempty"`
}

// resetMessage asks for a reset.
type resetMessage struct {
	Seed     int64 `json:"seed"`
	Lockstep bool  `json:"lockstep"`
}

// replyMessage answers a reset, a stop or a command. A lockstep command that succeeds is
// answered by the state instead.
type replyMessage struct {
	OK      bool      `json:"ok"`
	Initial []float64 `json:"initial,omitempty"` // of a reset
	Error   *failure  `json:"error,omitempty"`
}

// heartbeatMessage tells once a second that a robot is there and who commands it.
type heartbeatMessage struct {
	Mode    string `json:"mode"`              // one of the modes
	Session string `json:"session,omitempty"` // the owner, unless free or offline
}

// The modes of a heartbeat.
const (
	modeFree     = "free"
	modeRealTime = "real-time"
	modeLockstep = "lockstep"
	modeOffline  = "offline" // the last heartbeat of a robot that leaves in good order
)

// failure is why a message was refused, or what went wrong with a robot.
type failure struct {
	Code    string `json:"code"` // one of the codes
	Message string `json:"message"`
}

// The codes of a failure.
const (
	codeBadRequest  = "bad_request" // the message is not as the protocol says
	codeUnsupported = "unsupported" // the robot cannot do this
	codeBusy        = "busy"        // another session owns the robot
	codeLost        = "lost"        // another session stopped or took the robot in the meantime
	codeLate        = "late"        // a newer message of the same session came first
	codeStale       = "stale"       // the robot itself was not heard from
	codeFailed      = "failed"      // the robot itself reported an error
)

// error returns f as an error that wraps the sentinel of its code, if it has one.
func (f *failure) error() error {
	switch f.Code {
	case codeBusy:
		return fmt.Errorf("%w: %s", ErrBusy, f.Message)
	case codeLost:
		return fmt.Errorf("%w: %s", ErrLost, f.Message)
	case codeStale:
		return fmt.Errorf("%w: %s", robot.ErrStale, f.Message)
	}
	return fmt.Errorf("%s (%s)", f.Message, f.Code)
}

// decodeSpec reads the answer to a spec request.
func decodeSpec(data []byte) (specMessage, error) {
	var m specMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("decode spec: %w", err)
	}
	if m.Protocol != protocol {
		return m, fmt.Errorf("decode spec: robot speaks protocol %d, want %d", m.Protocol, protocol)
	}
	return m, checkSpec(m.Spec)
}

// checkSpec reports a spec that cannot be served: names that are no part of a subject, or
// spaces or a rate that make no sense.
func checkSpec(spec robot.Spec) error {
	if err := checkName(spec.Name); err != nil {
		return fmt.Errorf("robot name: %w", err)
	}
	if err := spec.State.Validate(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := spec.Action.Validate(); err != nil {
		return fmt.Errorf("action: %w", err)
	}
	for _, camera := range spec.Cameras {
		for token := range strings.SplitSeq(camera, ".") { // observation.images.top is three
			if err := checkName(token); err != nil {
				return fmt.Errorf("camera name %q: %w", camera, err)
			}
		}
	}
	if !(spec.Rate >= minRate && spec.Rate <= maxRate) {
		return fmt.Errorf("rate %v control steps a second, want %v to %v", spec.Rate, minRate, float64(maxRate))
	}
	return nil
}

// The control rates that a clock can keep, in steps a second.
const (
	minRate = 0.01
	maxRate = 10000
)

// checkName reports a name that is not one token of a NATS subject.
func checkName(name string) error {
	if name == "" || len(name) > 64 {
		return fmt.Errorf("%q has %d bytes, want 1 to 64", name, len(name))
	}
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' {
			return fmt.Errorf("%q holds %q, want letters, digits, - and _", name, c)
		}
	}
	return nil
}

// decodeCommand reads a command and reports an action that has the wrong length or is
// outside of the limits.
func decodeCommand(data []byte, space actions.Space) (commandMessage, error) {
	var m commandMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("decode command: %w", err)
	}
	return m, checkAction(m.Action, space)
}

func checkAction(action []float32, space actions.Space) error {
	if len(action) != len(space) {
		return fmt.Errorf("action has %d dimensions, want %d %v", len(action), len(space), space.Names())
	}
	for i, v := range action {
		if d := space[i]; !(v >= d.Min && v <= d.Max) { // NaN fails both
			return fmt.Errorf("action: %s is %v, want %v to %v", d.Name, v, d.Min, d.Max)
		}
	}
	return nil
}

// decodeState reads a state into m, whose slice it reuses, and reports a vector that has
// the wrong length.
func decodeState(data []byte, spec *robot.Spec, m *stateMessage) error {
	*m = stateMessage{State: m.State[:0]}
	if err := json.Unmarshal(data, m); err != nil {
		return fmt.Errorf("decode state: %w", err)
	}
	if len(m.State) != len(spec.State) {
		return fmt.Errorf("decode state: have %d dimensions, want %d", len(m.State), len(spec.State))
	}
	return nil
}

// decodeReply reads the answer to a request.
func decodeReply(data []byte) (*replyMessage, error) {
	var m replyMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	if m.OK == (m.Error != nil) {
		return nil, fmt.Errorf("decode answer: %q is neither a success nor an error", data)
	}
	return &m, nil
}

// headerNumber reads a number, 0 where the header is absent.
func headerNumber(h nats.Header, key string) (uint64, error) {
	values := h[key]
	if len(values) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(values[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %w", key, err)
	}
	return n, nil
}

// sender is who sent a message.
type sender struct {
	session  string
	sequence uint64 // 0 where the message has no number
}

var errNoSession = errors.New("header " + headerSession + " is missing")

func senderOf(h nats.Header) (sender, error) {
	values := h[headerSession]
	if len(values) == 0 {
		return sender{}, errNoSession
	}
	if err := checkName(values[0]); err != nil {
		return sender{}, fmt.Errorf("header %s: %w", headerSession, err)
	}
	n, err := headerNumber(h, headerSequence)
	return sender{session: values[0], sequence: n}, err
}

// setHeader writes one value, in place where the header was written before.
func setHeader(h nats.Header, key, value string) {
	if values := h[key]; len(values) == 1 {
		values[0] = value
		return
	}
	h[key] = []string{value}
}
